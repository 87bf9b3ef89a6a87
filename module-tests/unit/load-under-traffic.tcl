# MODULE LOAD at run time into a server with a million keys, under traffic: no reply fails, and
# the server goes on answering at once.
source [file join [file dirname [info script]] .. support numa.tcl]

tags {load} {
    start_server {overrides {save {}}} {
        test {MODULE LOAD under pipelined traffic with a million keys fails no reply} {
            r debug populate 1000000 key 16
            set traffic [list "get %k" "set %k %v" "incr n:%k" "exists %k"]
            set pipes {}
            foreach seed {1 2} {
                lappend pipes [numa_pour_begin 0 2000 --keys 1000000 --random $seed --pipeline 200 \
                    --bytes 16 {*}$traffic]
            }
            after 1000
            set begun [clock milliseconds]
            assert_equal {OK} [r module load [numa_so] {*}[numa_args]]
            assert_lessthan [expr {[clock milliseconds] - $begun}] 1000 "the load took too long"
            for {set round 0} {$round < 20} {incr round} {
                assert_equal {PONG} [r ping]
                assert_equal {OK} [r numa.set mine:$round value]
                assert_equal {value} [r numa.get mine:$round]
                after 50
            }
            foreach pipe $pipes {
                set result [numa_pour_end $pipe]
                assert_equal 0 [dict get $result errors] $result
                assert_morethan [dict get $result replies] 8000
                assert_lessthan [dict get $result slowest_ms] 1000 "a pipeline waited too long"
            }
            assert_equal 0 [numa_info numa_panics_caught]
        }

        test {the module's NUMA strings work under the same traffic} {
            set pipe [numa_pour_begin 0 2000 --keys 1000000 --random 3 --bytes 100 --prefix numa: \
                "numa.set %k %v" "numa.get %k" "numa.append %k x" "del %k"]
            after 1500
            set result [numa_pour_end $pipe]
            assert_equal 0 [dict get $result errors] $result
            assert_equal 0 [numa_info numa_pool_faults]
        }
    }
}
