# promtool, which checks Prometheus' configuration and rules; it lies in the same Debian package.
VERSION=debian

build() {
	apt-get download prometheus || { apt-get update && apt-get download prometheus; }
	dpkg-deb -x prometheus_*.deb .
	cp usr/bin/promtool "$OUT"
}
