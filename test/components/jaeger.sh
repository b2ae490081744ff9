# Jaeger 2, in which the tests read spans back: about 11 CPU minutes. v1.76.0 of its module holds cmd/jaeger, which
# is Jaeger 2.13; tags of the form v2.N cannot be required under a module path without /v2.
VERSION=1.76.0

build() {
	local module=github.com/jaegertracing/jaeger
	make_module components/jaeger $module v$VERSION
	# Its own go.sum knows modules that the checksum database does not serve everywhere, and is itself verified.
	install -m u=rw "$(go list -m -f '{{.Dir}}' $module)/go.sum" go.sum
	go build -trimpath -ldflags "-s -w" -o "$OUT" $module/cmd/jaeger
}
