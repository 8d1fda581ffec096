#!/bin/busybox sh
# Process 1 of the emulated machine. Its root is the host's, read-only, under a layer in memory; /tmp/vm is a
# directory of the host's: it holds the command and takes the results.
export PATH=/bin:/sbin
/bin/busybox --install -s /bin
say() { echo "vm: $*"; }
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module" || say "cannot load $module"; done < /modules/order

disk='trans=virtio,version=9p2000.L,msize=512000'
mount -t 9p -o "$disk,cache=loose,ro" host /lower || say 'cannot mount the host'
mount -t tmpfs memory /rw
mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work root /new || say 'cannot mount the root'

cd /new || exit 1
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs dev dev
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts
for directory in dev/shm run tmp; do mount -t tmpfs memory "$directory"; done
mkdir -p run/netns run/lock tmp/vm
mount -t cgroup2 cgroup sys/fs/cgroup
mount -t 9p -o "$disk,cache=none" results tmp/vm || say 'cannot mount the results'
# A tree below /tmp or /run is hidden by what was mounted there: it gets a layer of its own.
tree=$(cat tmp/vm/tree)
if [ ! -e ".$tree/package.json" ]; then
  mkdir -p ".$tree" /rw/tree /rw/treework
  mount -t overlay -o "lowerdir=/lower$tree,upperdir=/rw/tree,workdir=/rw/treework" tree ".$tree" || say 'cannot mount the tree'
fi
ln -sf /proc/self/fd dev/fd
# Debian's own modules stand where modprobe looks for those of the kernel that runs.
mkdir -p "lib/modules/$(uname -r)"
mount --bind "/lower$(cat /modules/root)" "lib/modules/$(uname -r)"
ip link set lo up

read -r up _ < /proc/uptime
say "ready after $up s"
chroot /new /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb \
  /bin/bash /tmp/vm/command
echo $? > /new/tmp/vm/status
sync
poweroff -f
