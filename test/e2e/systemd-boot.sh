#!/bin/sh
# Boots systemd as the first process of new namespaces, on an overlay over this machine's files that is gone afterwards.
# Arguments: an empty folder. It runs in the mount, pid, ipc and cgroup namespaces of `unshare --fork`.
set -eu
folder=$1

# The old /proc knows this shell by the number by which it is entered from outside.
echo "pid $(sed -n 's/^PPid:\t//p' /proc/self/status)"

mount --make-rprivate /
mount -t tmpfs tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
cd "$folder/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs dev
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
# None of this machine's services: nothing but what the test starts.
rm -rf etc/systemd/system
mkdir -p etc/systemd/system/service.d
printf '[Service]\nStandardOutput=append:/run/services.log\nStandardError=inherit\n' >etc/systemd/system/service.d/log.conf
printf '[Unit]\nDescription=A machine that does nothing\n' >etc/systemd/system/idle.target

# Not chroot: in one, the kernel lets no process make a user namespace.
mkdir old
pivot_root . old
umount --lazy /old
export container=shoal-test
exec /usr/lib/systemd/systemd --unit=idle.target --show-status=no
