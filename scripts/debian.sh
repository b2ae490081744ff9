# Sourced by the scripts that make a Debian of their own: a root file system from the sources of apt that this
# machine has, kept in the cache.
CACHE=${FLOWSPAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/flowspan}

# Debian's own sources of release $1 as this machine has them, a line each; nothing where it is another system.
debian_sources() {
	apt-get indextargets --format "\$(ORIGIN) \$(CODENAME) deb \$(SITE) \$(RELEASE) \$(COMPONENT)" 'Created-By: Packages' |
		sed -n "s/^Debian $1[a-z-]* deb /deb /p" | sort -u
}

apt_proxies() { apt-config dump | grep -E '^Acquire::https?::Proxy' || true; }

# $1: the archive (tar) to make, $2: Debian's release, $3: packages besides those of minbase, a comma between them.
# It appears whole or not at all.
make_archive() {
	local sources options
	mapfile -t sources < <(debian_sources "$2")
	mapfile -t options < <(apt_proxies | sed 's/^/--aptopt=/')
	say "making the root file system: Debian $2, minbase, with ${3//,/, }"
	install -d -m 700 "$(dirname "$1")"
	mmdebstrap --quiet --mode=root --variant=minbase --include="$3" "${options[@]}" "$2" "$1.new.tar" "${sources[@]}"
	mv "$1.new.tar" "$1"
}
