# Removes a lab: its programs, namespaces, mounts and files. Arguments: the lab's id and its directory.
#
# Standard input is a pipe that only the lab's process can write to. It ends when that process ends, in whatever way; then it is
# time to clean. The word `keep` means: leave all as it is.
id=$1
directory=$2

read -r word
[ "$word" = keep ] && exit 0

ip netns list | while read -r name _; do
    case $name in
    "$id"-*)
        pids=$(ip netns pids "$name")
        # shellcheck disable=SC2086 # a list of numbers
        [ -z "$pids" ] || kill -9 $pids
        ip netns delete "$name"
        ;;
    esac
done
awk -v inside="$directory/" 'index($2, inside) == 1 { print $2 }' /proc/mounts | while read -r mount; do
    umount "$mount"
done
rm -rf --one-file-system "$directory"
exit 0
