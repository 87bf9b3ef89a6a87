# The way to leave: every NUMA value becomes a native one, and the saved files are stock files.
source [file join [file dirname [info script]] .. support numa.tcl]
source [file join [file dirname [info script]] .. support golden.tcl]

start_numa_server [numa_three_nodes] {overrides {save {} appendonly yes}} {
    test {RELEASE turns every type into its stock one, time to live kept} {
        golden_fill
        set hash [lsort [r numa.hgetall golden:hash:big]]
        set list [r numa.lrange golden:list:big 0 -1]
        r numa release
        numa_wait 20 {[numa_pair [r numa status] last_pass_end] eq {done}} {the release to end}
        assert_equal 0 [numa_pair [r numa status] last_pass_failed]
        foreach {key type} {string string number string list list list:big list zset zset zset:big zset
            hash hash hash:big hash set set set:big set expires string} {
            assert_equal $type [r type golden:$key] $key
        }
        assert_equal $hash [lsort [r hgetall golden:hash:big]]
        assert_equal $list [r lrange golden:list:big 0 -1]
        assert_equal 400 [r scard golden:set:big]
        assert_morethan [r pttl golden:expires] 1000000
        assert_equal 0 [numa_info numa_node0_used_bytes]
    }

    set digest [r debug digest]
    set dir [lindex [r config get dir] 1]
    r save
    r config set aof-use-rdb-preamble no
    r bgrewriteaof
    waitForBgrewriteaof r
    set rdb [file_bytes [file join $dir dump.rdb]]
    set aof [file_bytes [file join $dir appendonly.aof]]

    start_server {overrides {save {} appendonly yes}} {
        test {a server without the module reads both files} {
            assert_equal {} [r module list]
            set dir [lindex [r config get dir] 1]
            put_file [file join $dir dump.rdb] $rdb
            r debug reload nosave
            assert_equal $digest [r debug digest]
            put_file [file join $dir appendonly.aof] $aof
            r debug loadaof
            assert_equal $digest [r debug digest]
        }
    }
}
