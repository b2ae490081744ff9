# kubectl, of the API server's own version and module: what it takes of a kubeconfig is what the agent takes.
VERSION=1.36.3

build() {
	local number=k8s.io/component-base/version
	make_module components/kubectl k8s.io/kubernetes v$VERSION
	# As in kube-apiserver.sh: its staging modules are published as v0.MINOR.PATCH.
	grep -oE 'k8s\.io/[a-z0-9-]+ v0\.0\.0$' "$sources" | cut -d ' ' -f 1 | sort -u |
		while read -r staging; do echo "replace $staging => $staging v0.${VERSION#1.}"; done >>go.mod
	go build -trimpath -ldflags "-s -w -X $number.gitVersion=v$VERSION -X $number.gitMajor=1 -X $number.gitMinor=$(echo $VERSION | cut -d. -f2)" \
		-o "$OUT" k8s.io/kubernetes/cmd/kubectl
}
