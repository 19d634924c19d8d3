#!/usr/bin/env bash
# Installs the Debian packages that the tests run against. Does nothing where
# they are there already.
set -euo pipefail

packages=(
	postfix dovecot-imapd dovecot-lmtpd # peers that exchange mail with us
	opendkim                            # checks our signatures
	isync swaks libnet-ssleay-perl curl # clients
	strace                              # shows what is on disk before a 250
	chromium fonts-noto-core            # the browser, with Devanagari
)

missing=()
for p in "${packages[@]}"; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
if [ ${#missing[@]} -eq 0 ]; then
	exit 0
fi
echo "== installing ${missing[*]}"
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)
# A package must not start its service here: the tests run their own instances.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
	"${sudo[@]}" chmod +x "$policy"
	trap '"${sudo[@]}" rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
