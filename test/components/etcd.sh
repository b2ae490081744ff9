# etcd, in which the API server keeps its objects: about one CPU minute. Debian's 3.4 cannot stream lists.
VERSION=3.6.5

build() {
	make_module components/etcd go.etcd.io/etcd/server/v3 v$VERSION
	go build -trimpath -ldflags "-s -w" -o "$OUT" go.etcd.io/etcd/server/v3
}
