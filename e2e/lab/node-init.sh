#!/bin/bash
# node-init.sh DIRECTORY PAUSE NAME: process 1 of a node. It is started in the node's own network, mount, pid, uts and
# ipc namespaces, makes the file system the node's own, prints "ready" and becomes PAUSE.
# What a node keeps over a reboot (/etc, /opt, /var/lib, /var/log) lies in DIRECTORY; /run does not survive.
set -eu
directory=$1 pause=$2 name=$3
mkdir -p "$directory"/{etc,opt,lib,work/etc,work/opt,work/lib,log,containerd}

mount -t proc proc /proc
# sysfs shows the devices of the namespace that mounts it; the machine's cgroups are put back into it
mkdir -p "$directory/cgroup"
mount --rbind /sys/fs/cgroup "$directory/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$directory/cgroup" /sys/fs/cgroup
umount -l "$directory/cgroup"

mount -t tmpfs -o mode=755 run /run
mkdir -p /run/netns /run/lock
overlay() {
  mount -t overlay -o "lowerdir=$1,upperdir=$directory/$2,workdir=$directory/work/$2" "fl-$2" "$1"
}
overlay /etc etc
overlay /opt opt
overlay /var/lib lib
mount --bind "$directory/log" /var/log
mkdir -p /etc/cni/net.d /opt/cni/bin /var/lib/cni /var/lib/containerd
mount --bind "$directory/containerd" /var/lib/containerd # an overlay cannot be the upper part of another one

hostname "$name"
mount --make-rshared /
echo ready
exec "$pause"
