#!/bin/bash
# One complete region of its own: a Ceph monitor, a storage daemon and an S3 gateway, one copy of
# everything in one folder. For tests: no manager, no systemd, no authentication between the parts.
#
#   ceph-region.sh up FOLDER [ADDRESS:PORT]    make it if it is not there, start what is not running,
#                                              wait until S3 answers; uses PORT to PORT + 19
#   ceph-region.sh bucket FOLDER NAME          make a bucket
#   ceph-region.sh user FOLDER NAME            make another account, whose key is NAME and whose
#                                              secret is S3_SECRET
#   ceph-region.sh kill FOLDER [PART]          SIGKILL; `up` brings it back with its data
#   ceph-region.sh hang|resume FOLDER [PART]   SIGSTOP, SIGCONT
#   ceph-region.sh destroy FOLDER              SIGKILL, and remove the folder
#
# PART: rgw (the gateway), osd (the storage daemon), mon (the monitor); without it all three.
# Keys: S3_KEY and S3_SECRET, when the region is made. Packages: ceph-mon ceph-osd radosgw
# ceph-common curl.
set -eu

command=$1
folder=$(realpath -m "$2")
argument=${3:-}
key=${S3_KEY:-holdfast} secret=${S3_SECRET:-holdfast-secret}
export CEPH_CONF="$folder/ceph.conf" CEPH_ARGS=""

running() { # by the folder on its command line: a process id alone may be another process's by now
    [ -s "$folder/$1.pid" ] && grep -qs "$CEPH_CONF" "/proc/$(cat "$folder/$1.pid")/cmdline"
}

start() {
    local part=$1
    shift
    running "$part" && return
    setsid nohup "$@" -c "$CEPH_CONF" -f >>"$folder/$part.out" 2>&1 </dev/null &
    echo $! >"$folder/$part.pid"
}

signal() {
    local part
    for part in $2; do
        running "$part" && kill "-$1" "$(cat "$folder/$part.pid")"
    done
    return 0
}

end() {
    local part
    signal KILL "$1"
    for part in $1; do
        while running "$part"; do sleep 0.02; done
    done
}

configure() {
    local address=${1%:*} port=${1##*:}
    cat >"$CEPH_CONF" <<CONF
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon_host = v2:$address:$((port + 1))
public_addr = $address
cluster_addr = $address
ms_bind_msgr1 = false
ms_bind_port_min = $((port + 2))
ms_bind_port_max = $((port + 19))
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
run_dir = $folder
crash_dir = $folder
admin_socket =
log_file = $folder/\$name.log
mon_cluster_log_file = /dev/null
$(printf 'debug_%s = 0\n' osd ms bluestore rocksdb bluefs bdev mon paxos rgw)
# One copy, one placement group a pool, nobody who would change that.
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_max_pg_per_osd = 1000
# After a SIGKILL a placement group waits for the dead daemon's lease, which lasts 0.8 of this.
osd_heartbeat_grace = 2
osd_heartbeat_interval = 1
[mon]
mon_data = $folder/mon
# It would stop on a disk that is fuller than it likes, which is not what is tested here.
mon_data_avail_crit = 1
mon_data_avail_warn = 2
mon_osd_full_ratio = .98
mon_osd_backfillfull_ratio = .97
mon_osd_nearfull_ratio = .96
auth_allow_insecure_global_id_reclaim = false
mon_tick_interval = 2
paxos_propose_interval = 0.05
paxos_min_wait = 0.02
mon_memory_autotune = false
rocksdb_cache_size = 16777216
[osd]
osd_data = $folder/osd
osd_objectstore = bluestore
bluestore_block_create = true
bluestore_block_size = 10737418240
bluestore_block_wal_create = false
bluestore_block_db_create = false
bluestore_cache_autotune = false
bluestore_cache_size = 67108864
osd_memory_target = 939524096
osd_op_num_shards = 1
osd_op_num_threads_per_shard = 4
osd_class_load_list = *
osd_class_default_list = *
osd_fast_shutdown = true
osd_client_watch_timeout = 2
osd_default_notify_timeout = 1
[client]
ms_mon_client_mode = crc
# A killed gateway's watch would block the next one's start for this long.
client_notify_timeout = 1
rgw_data = $folder/rgw
rgw_frontends = beast tcp_nodelay=1 endpoint=$address:$port
rgw_thread_pool_size = 32
rgw_init_timeout = 30
rgw_run_sync_thread = false
rgw_dynamic_resharding = false
rgw_override_bucket_index_max_shards = 1
CONF
}

make_parts() { # each step is passed over when it is done, so a call that died is made again
    local osd=$folder/osd
    if [ ! -e "$folder/mon/store.db" ]; then
        monmaptool --create --clobber --fsid "$(setting fsid)" --addv a "[$(setting mon_host)]" \
            "$folder/monmap" >/dev/null
        ceph-mon -c "$CEPH_CONF" --mkfs -i a --monmap "$folder/monmap"
    fi
    start mon ceph-mon -i a
    if [ ! -e "$osd/ready" ]; then
        [ -e "$osd/uuid" ] || cat /proc/sys/kernel/random/uuid >"$osd/uuid"
        ceph -c "$CEPH_CONF" --connect-timeout 30 osd new "$(cat "$osd/uuid")" 0 >/dev/null
        ceph-osd -c "$CEPH_CONF" -i 0 --mkfs --osd-uuid "$(cat "$osd/uuid")" >>"$folder/osd.out" 2>&1
    fi
    start osd ceph-osd -i 0
    if [ ! -e "$folder/rgw/user" ]; then
        radosgw-admin -c "$CEPH_CONF" user create --uid=holdfast --display-name=holdfast \
            --access-key="$key" --secret="$secret" --max-buckets=0 \
            >"$folder/rgw/made" 2>>"$folder/rgw.out"
        echo "$key:$secret" >"$folder/rgw/user"
    fi
    start rgw radosgw -n client.rgw
}

setting() { sed -n "s/^$1 = //p" "$CEPH_CONF"; }

put() { # PUT standard input; prints the status
    curl -s -m 2 -X PUT --data-binary @- -o /dev/null -w '%{http_code}' --noproxy '*' \
        -H x-amz-content-sha256:UNSIGNED-PAYLOAD --aws-sigv4 aws:amz:us-east-1:s3 \
        --user "$(cat "$folder/rgw/user")" "http://$(endpoint)/$1" || true
}

endpoint() { setting rgw_frontends | sed 's/.*endpoint=//'; }

wait_for_s3() { # until a real PUT goes through the gateway and the storage daemon
    local status=000
    for _ in $(seq 600); do
        status=$(echo ready | put ready/ready)
        case $status in
            200) return ;;
            404) put ready </dev/null >/dev/null ;;
        esac
        sleep 0.05
    done
    echo "$folder: S3 at http://$(endpoint) does not take a PUT ($status)" >&2
    exit 1
}

case $command in
    up)
        mkdir -p "$folder/mon" "$folder/osd" "$folder/rgw"
        [ -f "$CEPH_CONF" ] || configure "${argument:-127.0.0.1:7480}"
        make_parts
        wait_for_s3
        ;;
    bucket)
        status=$(put "$argument" </dev/null)
        [ "$status" = 200 ] || { echo "$folder: bucket $argument: $status" >&2; exit 1; }
        ;;
    user)
        radosgw-admin -c "$CEPH_CONF" user create --uid="$argument" --display-name="$argument" \
            --access-key="$argument" --secret="$secret" >/dev/null 2>>"$folder/rgw.out"
        ;;
    kill) end "${argument:-rgw osd mon}" ;;
    hang) signal STOP "${argument:-rgw osd mon}" ;;
    resume)
        hung=$(running osd && grep -l '^State:.T' "/proc/$(cat "$folder/osd.pid")/status" || true)
        signal CONT "${argument:-rgw osd mon}"
        # Its lease ran out, and alone in its pools it never wakes what waits for that: peer anew.
        [ -z "$hung" ] || ceph -c "$CEPH_CONF" --connect-timeout 10 osd down 0 2>/dev/null || true
        ;;
    destroy)
        end "rgw osd mon"
        rm -rf "$folder"
        ;;
    *)
        sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
        exit 2
        ;;
esac
