# Helm, which lints and renders deploy/helm/flowspan.
VERSION=4.3.2

build() {
	local version=helm.sh/helm/v4/internal/version
	make_module components/helm helm.sh/helm/v4 v$VERSION
	go build -trimpath -ldflags "-s -w -X $version.version=v$VERSION" -o "$OUT" helm.sh/helm/v4/cmd/helm
}
