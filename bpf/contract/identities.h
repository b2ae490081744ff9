/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The users that flowspan's processes become: numbers that nothing else on a node has. 65532 is the "nonroot" of every
 * distroless image: a process may signal another one of its user, and read its environment and tokens.
 *
 * They lie above the ranges of OpenShift's namespaces (to 1999999999), SSSD (to 2000200000), user namespaces of kubelets and
 * containers, and systemd (to 1879048191); below systemd's own of foreign images (2147352576) and Kubernetes' largest
 * (2147483647). Images and manifests repeat them, and tests compare.
 */
#ifndef CONTRACT_IDENTITIES_H
#define CONTRACT_IDENTITIES_H

#define USER_PROBE 2140035691
/* Its group, of the same number, is the group of the probe's socket. */
#define USER_AGENT 2140035692
#define USER_DIRECTORY 2140035693

#endif
