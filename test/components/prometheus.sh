# Prometheus as Debian packages it, unpacked and not installed: no service of its starts on this machine.
VERSION=debian

build() {
	apt-get download prometheus || { apt-get update && apt-get download prometheus; }
	dpkg-deb -x prometheus_*.deb .
	cp usr/bin/prometheus "$OUT"
}
