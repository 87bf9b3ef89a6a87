# Random words to the three containers: an answer each time, and nothing changed. The seed stands
# in each test's name, so that a failure can be had again.
source [file join [file dirname [info script]] .. support numa.tcl]

# Words that mean something, words that nearly do, and junk.
proc vocabulary {} {
    set words {
        get set load rewrite stats help resetstat key keys pattern db cancel scan info reset
        nodes status heatmap verify convert release config migrate count match strategy weight
        0 1 2 -1 63 64 1000 99999999999999999999 1.5 1e9 0x10 nan yes maybe NATIVE NUMA far *
        [ [a- ? \\ existing native missing cpu_share numa-tick-budget node_limit local_first
    }
    lappend words "" " " "\x00" "\xff\xfe" "a\r\nb" "%s%n%d" [string repeat x 5000] "\u00e9" "{}"
    return $words
}

proc any {list} {
    return [lindex $list [expr {int(rand() * [llength $list])}]]
}

# A subcommand that would rightly change something is left out: those have tests of their own.
proc harmless {words} {
    foreach word $words {lappend low [string tolower $word]}
    foreach {changing} {set rebalance resetstat reset release pattern db key keys convert load
            rewrite scan verify cancel} {
        if {$changing in $low} {return 0}
    }
    return 1
}

proc state {} {
    set digest [r debug digest]
    return [list $digest [r numaconfig get] [r dbsize] [numa_node_of existing]]
}

# Sends it and answers the error, or nothing.
proc attempt {words} {
    if {[catch {r {*}$words} error]} {
        if {[string match {*I/O error*} $error]} {fail "the connection broke at: $words"}
        return $error
    }
    return {}
}

tags {bad-input} {
    set still "numa-auto-rebalance no numa-composite-lru-auto-migrate-enabled no"
    start_numa_server "[numa_two_nodes] $still" {} {
        r numa.set existing value node 0
        r set native value

        foreach seed {1 2 3} {
            test "random words: no crash, an error that says something (seed $seed)" {
                expr {srand($seed)}
                set vocabulary [vocabulary]
                for {set i 0} {$i < 1500} {incr i} {
                    set words [list [any {numaconfig numamigrate numa NUMA}]]
                    set count [expr {int(rand() * 6)}]
                    for {set n 0} {$n < $count} {incr n} {lappend words [any $vocabulary]}
                    set error [attempt $words]
                    if {$error ne {}} {
                        assert_match {[A-Z]*[a-z]*} $error
                        assert_lessthan [string length $error] 400
                    }
                }
                assert_equal {PONG} [r ping]
                assert_equal 0 [numa_info numa_panics_caught]
                # Random words may well have said CONVERT or RELEASE; the bytes are the same.
                set get [expr {[r type existing] eq "string" ? "get" : "numa.get"}]
                assert_equal value [r $get existing]
            }
        }

        test {random words behind each subcommand that should not change anything (seed 4)} {
            r flushall
            catch {r numamigrate cancel}
            r numa.set existing value node 0
            set before [state]
            expr {srand(4)}
            set vocabulary [vocabulary]
            for {set i 0} {$i < 1500} {incr i} {
                set words [list [any {numaconfig numamigrate numa}]]
                set count [expr {1 + int(rand() * 5)}]
                for {set n 0} {$n < $count} {incr n} {lappend words [any $vocabulary]}
                if {[harmless $words]} {attempt $words}
            }
            assert_equal $before [state]
        }

        test {a whole command with one bad word changes nothing and names what is wrong} {
            set before [state]
            foreach words {
                {numaconfig set weight 0 heavy} {numaconfig set weight 99 1}
                {numaconfig set strategy best} {numaconfig set cpu_share 51}
                {numaconfig set node_limit 0 -1} {numaconfig set watermark_low 100}
                {numamigrate key existing 2} {numamigrate key existing one}
                {numamigrate keys 2 existing} {numamigrate pattern * 7}
                {numamigrate db -1} {numamigrate scan count 0}
                {numa convert existing sideways} {numa release match} {numa verify count 0}
                {numa migrate key existing 5} {numa config set nothing 1}
            } {
                assert_match {ERR ?*} [attempt $words]
            }
            assert_equal $before [state]
        }

        test {the string setters' NODE: bad ones are errors and write nothing} {
            set before [state]
            foreach words {
                {numa.set k v node} {numa.set k v node x} {numa.set k v node 2}
                {numa.set k v node -1} {numa.set existing v node 9}
                {numa.setnx k v node 9} {numa.setex k 10 v node x} {numa.append k v nod 1}
                {numa.append k v node 9} {numa.getset existing v node 9}
            } {
                assert_match {ERR ?*} [attempt $words]
            }
            assert_equal $before [state]
        }

        test {very many words, and a very long one} {
            set many {}
            for {set i 0} {$i < 50000} {incr i} {lappend many missing$i}
            assert_equal {moved 0 skipped 50000 failed 0} [r numamigrate keys 1 {*}$many]
            foreach container {numa numaconfig numamigrate} {
                catch {r $container [string repeat s 2000000]} error
                assert_match {ERR Unknown subcommand*} $error
                assert_lessthan [string length $error] 300
                catch {r $container {*}$many} error
                assert_match {ERR Unknown subcommand*} $error
            }
        }

        test {globs that are expensive for a naive matcher end} {
            set glob [string repeat {a*} 40]b
            r numa.set [string repeat a 60] v
            set begun [clock milliseconds]
            r numaconfig get $glob
            assert_equal {OK} [r numamigrate pattern $glob 1]
            r ping
            assert_lessthan [expr {[clock milliseconds] - $begun}] 2000
            catch {r numamigrate cancel}
        }
    }
}
