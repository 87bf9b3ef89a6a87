# Files that a version wrote are read by every later one. The golden files are kept as text: what
# version 1 of the encoding wrote, never to be made anew. NUMA_WRITE_GOLDEN=<version> writes those of
# a new encoding, once.
source [file join [file dirname [info script]] .. support numa.tcl]
source [file join [file dirname [info script]] .. support golden.tcl]

start_numa_server [numa_three_nodes] {overrides {save {} appendonly yes}} {
    set dir [lindex [r config get dir] 1]
    golden_fill
    set digest [r debug digest]

    if {[info exists ::env(NUMA_WRITE_GOLDEN)]} {
        set version $::env(NUMA_WRITE_GOLDEN)
        r save
        golden_write $version-rdb [file_bytes [file join $dir dump.rdb]]
        r config set aof-use-rdb-preamble no
        r bgrewriteaof
        waitForBgrewriteaof r
        golden_write $version-aof [file_bytes [file join $dir appendonly.aof]]
    }

    foreach version {v1} {
        test "the RDB file of $version is read" {
            put_file [file join $dir dump.rdb] [golden_read $version-rdb]
            r debug reload nosave
            assert_equal $digest [r debug digest]
            assert_equal 0 [numa_info numa_rdb_rejected]
            assert_morethan [r pttl golden:expires] 1000000
        }

        test "the AOF of $version is read" {
            put_file [file join $dir appendonly.aof] [golden_read $version-aof]
            r debug loadaof
            assert_equal $digest [r debug digest]
            assert_morethan [r pttl golden:expires] 1000000
        }
    }
}
