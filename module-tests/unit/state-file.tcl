source [file join [file dirname [info script]] .. support numa.tcl]

# numa-state-file: heat and pins over a restart, and what happens to files that are no good.

proc scratch_file {name} {
    set folder [tmpdir state]
    return [file normalize [file join $folder $name]]
}

proc state_args {path {more {}}} {
    return [numa_args [string trim "state-file $path $more"]]
}

proc level_of {key} {
    return [numa_pair [r numamigrate info $key] hotness_level]
}

proc count_of {key} {
    return [numa_pair [r numamigrate info $key] access_count]
}

set path [scratch_file heat]
set options {overrides {save "" appendonly yes aof-use-rdb-preamble no}}

start_numa_server [state_args $path composite-lru-auto-migrate-enabled\ no] $options {
    test {heat and pins come back after a restart from an append-only file} {
        assert_equal waiting [numa_pair [r numa status] state_file]
        r numa.set hot v
        r numa.set cold v
        r numa.hset table f v
        for {set i 0} {$i < 20} {incr i} {r numa.get hot; r numa.hget table f}
        r numa.set held v
        r numa pin 1 held
        set was [list [count_of hot] [count_of table]]
        restart_server 0 true false
        assert_equal 1 [file exists $path]
        numa_wait 30 {[numa_info numa_state_restored_keys] >= 3} "the file to be restored"
        assert_equal $was [list [count_of hot] [count_of table]]
        assert {[level_of hot] >= 5}
        assert_equal 1 [count_of cold]
        assert_equal {1 1} [list [numa_node_of held] [numa_pair [r numamigrate info held] pinned]]
        assert_equal 0 [numa_pair [r numamigrate info hot] pinned]
        numa_wait 30 {[numa_pair [r numa status] state_file] eq {waiting}} "the end of restoring"
        assert_equal 0 [numa_info numa_state_failures]
    }

    test {it is written now and then too, whole, with nothing left beside it} {
        for {set i 0} {$i < 5000} {incr i} {r numa.set many$i v}
        for {set i 0} {$i < 5000} {incr i} {r numa.get many$i}
        r numaconfig set state_interval 1
        set saves [numa_info numa_state_saves]
        numa_wait 60 {[numa_info numa_state_saves] >= $saves + 2} "two more files"
        assert {[file size $path] > 5000 * 20}
        assert_equal "NUMAHT01" [string range [file_bytes $path] 0 7]
        r numaconfig set state_interval 3600
        numa_wait 60 {[numa_pair [r numa status] state_file] eq {waiting}} "the last one to end"
        assert_equal [list $path] [glob $path*]
        assert_equal 0 [numa_info numa_state_failures]
    }

    test {a key that was used more since keeps what it has; gone ones are passed over} {
        r del cold
        restart_server 0 true false
        numa_wait 30 {[numa_pair [r numa status] state_file] eq {waiting}} "the end of restoring"
        assert_equal 0 [r exists cold]
        assert {[count_of hot] >= 20}
        assert_equal 0 [numa_info numa_panics_caught]
    }
}

set good [file_bytes $path]

foreach {what bytes reason} [list \
    "a damaged file" [string replace $good 30 30 "\xff"] "it is damaged*" \
    "a file cut short" [string range $good 0 end-9] "it is *" \
    "an empty file" "" "it is cut short or too long" \
    "a file of another version" [string replace $good 7 7 9] "it is no state file of this version" \
    "a stale file" [string replace $good 8 15 [binary format w 1600000000000]] "it is stale*" \
] {
    put_file $path $bytes
    start_numa_server [state_args $path] {overrides {save ""}} {
        test "$what is ignored with a line in the log" {
            assert {[numa_log_count "*state file ignored: $reason*"] == 1}
            assert_equal {1 0} \
                [list [numa_info numa_state_failures] [numa_info numa_state_restored_keys]]
            r numa.set hot v
            assert_equal 1 [count_of hot]
        }
    }
}

# A slip in a path must not cost the file that is there.
set foreign [scratch_file dump.rdb]
set folder [scratch_file folder]
set pipe [scratch_file pipe]
set device [scratch_file device]
put_file $foreign [string repeat "some other text " 100]
file mkdir $folder
exec mkfifo $pipe
file link -symbolic $device /dev/zero

foreach {what place reason} [list \
    "a file of another's" $foreign "it is no state file" \
    "a folder" $folder "it is not a regular file" \
    "a pipe" $pipe "it is not a regular file" \
    "a device" $device "it is not a regular file" \
] {
    set kind [file type $place]
    start_numa_server [state_args $place] {overrides {save ""}} {
        test "$what is left as it is, with a line in the log" {
            assert {[numa_log_count "*state file ignored: $reason; it is left alone*"] == 1}
            assert_equal off [numa_pair [r numa status] state_file]
            assert_equal 1 [numa_info numa_state_failures]
            r numa.set hot v
            r numaconfig set state_interval 1
            restart_server 0 true false
            assert_equal $kind [file type $place]
            if {$place eq $foreign} {
                assert_equal [string repeat "some other text " 100] [file_bytes $place]
            }
            assert_equal [list $place] [glob $place*]
        }
    }
}

start_numa_server [state_args /nowhere/at/all] {overrides {save ""}} {
    test {a place that cannot be written is told, and does no harm} {
        r numa.set hot v
        r numa.get hot
        r numaconfig set state_interval 1
        numa_wait 60 {[numa_info numa_state_failures] >= 1} "a failed write"
        assert {[numa_log_count {*state file not written: No such file*}] >= 1}
        assert_equal v [r numa.get hot]
    }

    test {the file is named at load alone} {
        assert_error {ERR *state_file*} {r numaconfig set state_file /tmp/other}
    }
}

set native [scratch_file native]
start_numa_server [state_args $native native-keys\ manage] {overrides {save "" appendonly yes}} {
    test {the counts and pins of native keys come back as well} {
        r set read v
        r set left v
        assert_poured 3000 [numa_pour 0 3000 "GET read"]
        numa_wait 20 {[count_of read] > 50} "the reads to be counted"
        set was [count_of read]
        r numa pin 1 left
        numa_wait 30 {[numa_node_of left] == 1} "the pinned key to be there"
        restart_server 0 true false
        numa_wait 30 {[numa_info numa_state_restored_keys] >= 1} "the file to be restored"
        assert {[count_of read] > $was / 4}
        assert {[count_of left] < 10}
        assert_equal 1 [numa_pair [r numamigrate info left] pinned]
        numa_wait 30 {[numa_node_of left] == 1} "the pinned key to be there again"
    }
}
