# Values over 32 KiB: many of them need few mappings (the kernel allows a process 65,530), FLUSHALL
# of them is quick, and their bytes and their account stay right whichever way they go.
source [file join [file dirname [info script]] .. support numa.tcl]

set ::room "numa-simulate 0:4294967296:80,1:4294967296:250:cpuless"

# How many mappings the server's process has.
proc vmas {} {
    set maps [open /proc/[srv 0 pid]/maps]
    set lines [split [string trim [read $maps]] "\n"]
    close $maps
    return [llength $lines]
}

# Resident bytes of the server, as its kernel says.
proc resident {} {
    set status [open /proc/[srv 0 pid]/status]
    regexp {VmRSS:\s+(\d+)} [read $status] _ kib
    close $status
    return [expr {$kib * 1024}]
}

tags {large-values} {
    start_numa_server $::room {overrides {save {}}} {
        test {30,000 values of 40 KB need few mappings, and FLUSHALL of them is quick} {
            set before [vmas]
            set used [numa_used]
            assert_poured 30000 [numa_pour 0 30000 --bytes 40000 "numa.set %k %v" --pipeline 50]
            assert_lessthan [vmas] [expr {$before + 300}]
            set each [r memory usage key:7]
            assert_morethan $each 40000
            assert_lessthan $each 45300
            set begun [clock milliseconds]
            r flushall
            assert_lessthan [expr {[clock milliseconds] - $begun}] 1000
            assert_lessthan [vmas] [expr {$before + 300}]
            numa_wait 20 {[numa_used] <= $used + 4194304} "used_memory back to $used, is [numa_used]"
            numa_wait 20 {[resident] < 200000000} "OS pages back, [resident] left"
        }

        test {values of many sizes keep their bytes while others come and go} {
            set used [numa_used]
            for {set round 0} {$round < 4} {incr round} {
                foreach bytes {32737 32768 40000 65520 65521 262128 1000000 3000000 40000000} {
                    set value [string repeat [format %c [expr {97 + $round}]] $bytes]
                    r numa.set keep:$bytes $value
                    assert_poured 400 [numa_pour 0 200 --bytes [expr {40000 + $bytes % 70000}] \
                        "numa.set %k %v" "unlink %k" --random $bytes --keys 40 --pipeline 20]
                    assert_equal $value [r numa.get keep:$bytes]
                }
            }
            foreach bytes {32737 32768 40000 65520 65521 262128 1000000 3000000 40000000} {
                assert_equal [string repeat d $bytes] [r numa.get keep:$bytes]
            }
            r flushall async
            numa_wait 20 {[numa_used] <= $used + 4194304} "used_memory back to $used, is [numa_used]"
        }

        test {background threads give large values back, OS pages and all} {
            for {set round 0} {$round < 3} {incr round} {
                assert_poured 1000 [numa_pour 0 1000 --bytes 300000 "numa.set %k %v" --pipeline 20]
                assert_poured 5000 [numa_pour 0 5000 --bytes 50000 "numa.set %k %v" \
                    --prefix small: --pipeline 50]
                assert_poured 1000 [numa_pour 0 1000 "unlink %k"]
                r flushall async
                numa_wait 20 {[resident] < 200000000} "OS pages back, [resident] left"
            }
            assert_equal 0 [numa_info numa_pool_faults]
        }

        test {moved between nodes and saved, large values are the same} {
            set sizes {33000 100000 700000 5000000}
            foreach bytes $sizes {
                r numa.set move:$bytes [string repeat m $bytes]
            }
            set digest [r debug digest]
            foreach node {1 0 1} {
                foreach bytes $sizes {
                    r numamigrate keys $node move:$bytes
                    assert_equal $node [numa_node_of move:$bytes]
                }
                assert_equal $digest [r debug digest]
            }
            r debug reload
            assert_equal $digest [r debug digest]
            foreach bytes $sizes {
                assert_equal [string repeat m $bytes] [r numa.get move:$bytes]
            }
            assert_equal 0 [numa_info numa_pool_faults]
        }
    }
}
