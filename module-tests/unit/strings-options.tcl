# The edges of the string commands one by one: options, numbers, lengths, wrong types, NODE.
source [file join [file dirname [info script]] .. support numa.tcl]

set ::wrong_type {WRONGTYPE Operation against a key holding the wrong kind of value}

# Runs the words with the stock command on key s and with the twin on key n; both must answer the same,
# an error's text included.
proc twin_reply {words} {
    set answers {}
    foreach {key prefix} {s {} n numa.} {
        set mine [string map [list <k> $key] $words]
        set mine [lreplace $mine 0 0 $prefix[lindex $mine 0]]
        set failed [catch {r {*}$mine} reply]
        lappend answers [list $failed [string map {numa. {}} $reply]]
    }
    if {[lindex $answers 0] ne [lindex $answers 1]} {
        fail "$words: stock {[lindex $answers 0]}, twin {[lindex $answers 1]}"
    }
}

# Each row: what is run first, what is compared. The keys and their times to live must end equal.
proc twin_rows {rows} {
    foreach {before words} $rows {
        r del s n
        foreach one $before {twin_reply $one}
        twin_reply $words
        assert_equal [r exists s] [r exists n] "$before, $words: exists"
        if {[r type s] eq {string}} {
            assert_equal [r get s] [r numa.get n] "$before, $words: value"
        }
        set ttls [list [r pttl s] [r pttl n]]
        if {abs([lindex $ttls 0] - [lindex $ttls 1]) > 2000} {fail "$before, $words: $ttls"}
    }
}

# Every string command with words that fit it, on key k.
proc command_rows {} {
    return {
        {get k} {strlen k} {getrange k 0 -1} {substr k 0 -1} {append k x} {setrange k 0 x}
        {incr k} {incrby k 2} {incrbyfloat k 1.5} {decr k} {decrby k 2} {getset k v} {getdel k}
        {getex k} {getex k ex 100} {getex k persist} {set k v get}
    }
}

# The node that key k is on when the words, which name it and a node, have made it.
proc hinted_node {words} {
    r del k
    r numa.[lindex $words 0] {*}[lrange $words 1 end]
    return [numa_node_of k]
}

# Values move when they are told to, and only then.
set by_hand {numa-composite-lru-auto-migrate-enabled no numa-auto-rebalance no}

tags {strings} {
    start_numa_server "[numa_three_nodes] $by_hand" {overrides {save {}}} {
        test {SET: every pair and triple of options is taken or refused as stock does} {
            set far [expr {[clock seconds] + 5000}]
            set options [list {} nx xx get keepttl {ex 100} {px 200000} [list exat $far] \
                [list pxat ${far}000] persist bogus ex px nx]
            foreach first $options {
                foreach second $options {
                    foreach third {{} get keepttl {px 300000} xx} {
                        set words [concat {set <k> new} $first $second $third]
                        twin_rows [list {} $words {{set <k> old ex 7000}} $words]
                    }
                }
            }
        }

        test {GETEX: every pair of options is taken or refused as stock does} {
            set far [expr {[clock seconds] + 5000}]
            set options [list {} persist {ex 100} {px 200000} [list exat $far] \
                [list pxat ${far}000] {exat 1} {pxat 1} nx keepttl get bogus ex pxat]
            foreach first $options {
                foreach second $options {
                    set words [concat {getex <k>} $first $second]
                    twin_rows [list {} $words {{set <k> old}} $words {{set <k> old ex 7000}} $words]
                }
            }
        }

        test {times to live that cannot be: the same errors, nothing changed} {
            set amounts {0 -1 abc {} 1.0 { 1} 9223372036854775807 9223372036854775808
                9223372036854775 9223372036854776 -9223372036854775808}
            set row {{set <k> old ex 7000}}
            foreach amount $amounts {
                foreach unit {ex px exat pxat} {
                    twin_rows [list $row [list set <k> new $unit $amount]]
                    twin_rows [list $row [list getex <k> $unit $amount]]
                    # A missing key is answered before the number is looked at.
                    twin_rows [list {} [list getex <k> $unit $amount]]
                }
                twin_rows [list $row [list setex <k> $amount new] $row [list psetex <k> $amount new]]
            }
        }

        test {options are words of any case} {
            twin_rows {
                {{set <k> old}} {SeT <k> new Xx GeT KeepTtl}
                {{set <k> old}} {set <k> new Ex 100}
                {{set <k> old}} {getex <k> pErSiSt}
                {} {stralgo lCs iDx withMatchLen sTrings ab ab}
            }
            r del k
            assert_equal {OK} [r numa.set k v NoDe 2]
            assert_equal 2 [numa_node_of k]
        }

        test {numbers: what is one and what is not} {
            set numbers {0 -0 00 +1 01 1e3 1.0 {} - 0x10 { 1} {1 } 9223372036854775807
                9223372036854775808 -9223372036854775808 -9223372036854775809 18446744073709551616
                123456789012345678901234567890 inf nan -inf 1e4932 1e4933 1e-4951 .5 5. +.5e1}
            foreach number $numbers {
                foreach command {incr decr} {twin_rows [list [list [list set <k> $number]] [list $command <k>]]}
                foreach command {incrby decrby incrbyfloat} {
                    twin_rows [list {} [list $command <k> $number]]
                    twin_rows [list {{set <k> 5}} [list $command <k> $number]]
                    twin_rows [list {{set <k> -9223372036854775808}} [list $command <k> $number]]
                    twin_rows [list [list [list set <k> $number]] [list $command <k> 1]]
                }
                twin_rows [list {{set <k> hello}} [list getrange <k> $number 3] \
                    {{set <k> hello}} [list getrange <k> 0 $number] \
                    {{set <k> hello}} [list setrange <k> $number x]]
            }
        }

        test {INCRBYFLOAT: digits as stock writes them} {
            foreach {value more} {
                0 0.1 10.50 0.1 5.0e3 2.0e2 3 -1.1 -0.0 0 1 1e-18 0.1 0.2 1 -1
                17179869184 1.5 9007199254740993 0.5 1e300 1e-5 1e17 1 99999999999999999.9 0.1
                3.141592653589793238 0 1e-20 0 1 -1.0000000000000000001
            } {
                twin_rows [list [list [list set <k> $value]] [list incrbyfloat <k> $more]]
            }
            # A byte of zero ends no number.
            twin_rows [list {{set <k> 1} {setrange <k> 2 2}} {incrbyfloat <k> 1}]
        }

        test {an increment keeps the time to live} {
            twin_rows {
                {{set <k> 5 ex 7000}} {incr <k>}
                {{set <k> 5 ex 7000}} {incrbyfloat <k> 1.5}
                {{set <k> 5 ex 7000}} {append <k> 6}
                {{set <k> 5 ex 7000}} {setrange <k> 3 x}
                {{set <k> 5 ex 7000}} {getset <k> x}
                {{set <k> 5 ex 7000}} {mset <k> x}
                {{set <k> 5 ex 7000}} {setnx <k> x}
                {{set <k> 5 ex 7000}} {set <k> x keepttl}
                {{set <k> 5 ex 7000}} {set <k> x}
            }
        }

        test {ranges, holes and empty pieces} {
            twin_rows {
                {} {append <k> {}}
                {} {setrange <k> 0 {}}
                {} {setrange <k> 5 {}}
                {} {setrange <k> 4 x}
                {{set <k> hello}} {setrange <k> 2 {}}
                {{set <k> hello}} {setrange <k> 3 world}
                {{set <k> 1234}} {setrange <k> 5 2}
                {{set <k> hello}} {getrange <k> 0 -1}
                {{set <k> hello}} {getrange <k> -100 100}
                {{set <k> hello}} {getrange <k> 3 1}
                {{set <k> hello}} {getrange <k> -1 -3}
                {{set <k> hello}} {getrange <k> 0 4294967297}
                {{set <k> hello}} {getrange <k> -9223372036854775808 9223372036854775807}
                {{set <k> {}}} {getrange <k> 0 -1}
                {} {getrange <k> 0 -1}
                {} {strlen <k>}
                {{set <k> -555}} {strlen <k>}
            }
        }

        test {MSET and MSETNX: all or none} {
            assert_error {ERR wrong number of arguments for MSET} {r numa.mset a 1 b}
            assert_error {ERR wrong number of arguments for MSET} {r numa.msetnx a 1 b}
            assert_equal 0 [r exists a b]
            assert_equal {OK} [r numa.mset a 1 b 2 a 3]
            assert_equal {3 2} [r numa.mget a b]
            assert_equal 0 [r numa.msetnx c 1 a 4]
            assert_equal 0 [r exists c]
            assert_equal 1 [r numa.msetnx c 1 c 2]
            assert_equal 2 [r numa.get c]
            r rpush native x
            assert_equal 0 [r numa.msetnx d 1 native 4]
            # NODE is a key here, as every other word would be.
            r numa.mset NODE 1
            assert_equal 1 [r numa.get NODE]
            r flushall
        }

        test {MSETNX and SETNX over a key that has run out} {
            r numa.set k old px 1
            after 5
            assert_equal 1 [r numa.setnx k new]
            assert_equal -1 [r pttl k]
            r numa.set k old px 1
            after 5
            assert_equal 1 [r numa.msetnx k newer]
            assert_equal {newer -1} [list [r numa.get k] [r pttl k]]
        }

        test {wrong types: each command refuses every other type and changes nothing} {
            foreach make {{set k text} {rpush k a} {sadd k a} {zadd k 1 a} {hset k f v} {xadd k * f v}} {
                r del k
                r {*}$make
                r expire k 5000
                set before [r debug digest-value k]
                foreach words [command_rows] {
                    catch {r numa.[lindex $words 0] {*}[lrange $words 1 end]} error
                    assert_equal $::wrong_type $error "$make, $words"
                }
                assert_equal {{}} [r numa.mget k]
                assert_equal 0 [r numa.setnx k v]
                assert_equal {} [r numa.set k v nx]
                assert_error {ERR The specified keys must contain string values} {
                    r numa.stralgo lcs keys k other
                }
                assert_equal $before [r debug digest-value k]
                assert_range [r ttl k] 4000 5000
            }
            r del k
            r numa.set k v
            foreach words {{get k} {append k x} {incr k} {lpush k x} {sadd k x} {hset k f v}} {
                catch {r {*}$words} error
                assert_equal $::wrong_type $error $words
            }
        }

        test {the setters write over any type} {
            foreach make {{set k text ex 5000} {rpush k a} {zadd k 1 a} {numa.set k old ex 5000}} {
                foreach {words ttl} {
                    {set k new} no {set k new xx} no {set k new ex 100} yes {setex k 100 new} yes
                    {psetex k 100000 new} yes {mset k new} no
                } {
                    r del k
                    r {*}$make
                    r numa.[lindex $words 0] {*}[lrange $words 1 end]
                    assert_equal {numa-strg new} [list [r type k] [r numa.get k]]
                    assert_equal [expr {$ttl eq {yes}}] [expr {[r ttl k] > 0}] "$make, $words"
                }
            }
            # A plain SET takes the key back.
            r set k native
            assert_equal {string native} [list [r type k] [r get k]]
        }

        test {SET KEEPTTL over a native key keeps its time to live to the ms} {
            foreach make {{set k text} {rpush k a}} {
                r del k
                r {*}$make
                r pexpireat k 9999999999123
                r numa.set k new keepttl
                assert_equal {numa-strg} [r type k]
                assert_range [expr {[clock milliseconds] + [r pttl k]}] 9999999999023 9999999999223
            }
        }

        test {SET GET over another type changes nothing} {
            r del k
            r rpush k waffle
            assert_error {WRONGTYPE*} {r numa.set k v get}
            assert_error {WRONGTYPE*} {r numa.getset k v}
            assert_equal {waffle} [r lrange k 0 -1]
        }

        test {arity: stock's errors, whatever the case of the name} {
            foreach {words name} {
                {NUMA.GET} get {numa.get a b} get {Numa.Set a} set {numa.setnx a} setnx
                {numa.incr} incr {numa.incr a b} incr {numa.getrange a 0} getrange {numa.mget} mget
                {numa.mset a} mset {numa.msetnx} msetnx {numa.stralgo} stralgo
                {numa.setnx a b c} setnx {numa.setnx a b c d} setnx {numa.setnx a b node 1 x} setnx
                {numa.setex a 10} setex {numa.setex a 10 b c} setex {numa.setex a 10 b c d} setex
                {numa.append a b c} append {numa.getset a b c d} getset
                {numa.setrange a 0 b c d} setrange {numa.psetex a 10 b node} psetex
            } {
                catch {r {*}$words} error
                assert_equal "ERR wrong number of arguments for 'numa.$name' command" $error
            }
            foreach words {{numaconfig} {numamigrate} {numa}} {
                assert_error "ERR wrong number of arguments for '$words' command" {r $words}
            }
            assert_equal 0 [r exists a]
        }

        test {COMMAND INFO: arity, flags and keys of each command are stock's} {
            set hinted {setnx setex psetex getset append setrange}
            foreach name {
                get set setnx setex psetex getset getdel getex mget mset msetnx append strlen
                getrange setrange incr incrby incrbyfloat decr decrby substr
            } {
                lassign [lindex [r command info $name] 0] _ arity flags first last step
                lassign [lindex [r command info numa.$name] 0] _ arity2 flags2 first2 last2 step2
                # `NODE <n>` may follow: at least so many words.
                if {$name in $hinted} {set arity -$arity}
                assert_equal [list $arity [lsort $flags] $first $last $step] \
                    [list $arity2 [lsort $flags2] $first2 $last2 $step2] $name
            }
            lassign [lindex [r command info numa.stralgo] 0] _ arity flags first last step
            assert_equal {-2 {movablekeys readonly} 0 0 0} \
                [list $arity [lsort $flags] $first $last $step]
        }

        test {COMMAND INFO: the commands of the module's own} {
            foreach {name arity flags} {
                numaconfig -2 {admin loading noscript stale} numamigrate -2 {admin movablekeys}
                numa -2 {admin may_replicate movablekeys noscript}
            } {
                lassign [lindex [r command info $name] 0] _ arity2 flags2
                assert_equal [list $arity $flags] [list $arity2 [lsort $flags2]] $name
            }
        }

        test {COMMAND GETKEYS} {
            assert_equal {a b} [r command getkeys numa.stralgo lcs keys a b]
            assert_equal {a b} [r command getkeys numa.stralgo lcs idx len keys a b]
            foreach name {stralgo numa.stralgo} {
                assert_error {ERR Invalid arguments specified for command} {
                    r command getkeys $name lcs strings keys b
                }
            }
            assert_equal {a b} [r command getkeys numa.mset a 1 b 2]
            assert_equal {a b c} [r command getkeys numa.mget a b c]
            assert_equal {a} [r command getkeys numa.set a v node 1]
            assert_equal {k} [r command getkeys numamigrate key k 1]
            assert_equal {k} [r command getkeys numamigrate info k]
            assert_equal {a b} [r command getkeys numamigrate keys 1 a b]
            assert_equal {k} [r command getkeys numa convert k native]
            assert_equal {k} [r command getkeys numa migrate key k 1]
        }

        test {STRALGO LCS: options and errors} {
            r mset s1 ohmytext s2 mynewtext
            r numa.mset n1 ohmytext n2 mynewtext
            foreach options {{} len idx {idx minmatchlen 4} {idx minmatchlen 4 withmatchlen}
                             {idx len} {len withmatchlen} {idx minmatchlen -5} {idx minmatchlen x}
                             {bogus} {minmatchlen}} {
                set stock [catch {r stralgo lcs keys s1 s2 {*}$options} a]
                set twin [catch {r numa.stralgo lcs keys n1 n2 {*}$options} b]
                assert_equal [list $stock $a] [list $twin $b] $options
            }
            twin_rows {
                {} {stralgo lcs}
                {} {stralgo lcs strings a}
                {} {stralgo lcs strings a b strings a b}
                {} {stralgo lcs keys a b strings a b}
                {} {stralgo bogus strings a b}
                {} {stralgo lcs strings {} {}}
                {} {stralgo lcs idx strings {} {}}
                {} {stralgo lcs keys none none2}
            }
        }

        test {STRALGO LCS of strings that stock has no memory for is refused at once} {
            r numa.setrange big1 8388607 x
            r numa.setrange big2 8388607 x
            foreach options {{} len idx} {
                assert_error {ERR Insufficient memory} {r numa.stralgo lcs keys big1 big2 {*}$options}
            }
            r del big1 big2
        }

        test {NODE: each setter puts a new value where it says} {
            foreach words {
                {set k v node 2} {set k v ex 100 node 2} {set k v node 2 nx} {set k v get node 2}
                {setnx k v node 2} {setex k 100 v node 2} {psetex k 100000 v node 2}
                {getset k v node 2} {append k v node 2} {setrange k 3 v node 2}
                {set k v node 1 node 2}
            } {
                assert_equal 2 [hinted_node $words] $words
            }
            assert_equal 0 [hinted_node {set k v}]
        }

        test {NODE: a value that is there moves, and without a hint it stays} {
            r del k
            r numa.set k v node 1
            foreach words {{set k w} {append k x} {incrbyfloat other 1} {setrange k 0 z} {getset k y}} {
                r numa.[lindex $words 0] {*}[lrange $words 1 end]
                assert_equal 1 [numa_node_of k] $words
            }
            r numa.set k v node 2
            assert_equal 2 [numa_node_of k]
            r numa.getset k w node 0
            assert_equal 0 [numa_node_of k]
            # SETNX that sets nothing moves nothing.
            assert_equal 0 [r numa.setnx k x node 2]
            assert_equal 0 [numa_node_of k]
        }

        test {NODE: what is no node of this machine is an error and changes nothing} {
            r del k
            foreach {node error} {
                3 {ERR Target node 3 out of range (0-2)} -1 {ERR Target node -1 out of range (0-2)}
                abc {ERR Invalid target node} {} {ERR Invalid target node}
                1.0 {ERR Invalid target node} 99999999999999999999 {ERR Invalid target node}
            } {
                foreach words {{set k v} {setnx k v} {setex k 10 v} {psetex k 10000 v} {getset k v}
                               {append k v} {setrange k 0 v}} {
                    catch {r numa.[lindex $words 0] {*}[lrange $words 1 end] node $node} reply
                    assert_equal $error $reply $words
                    assert_equal 0 [r exists k]
                }
            }
            assert_error {ERR syntax error} {r numa.set k v node}
            assert_equal 0 [r exists k]
        }

        test {NODE in a script: an unknown node is no hint, for the script may run elsewhere} {
            r del k
            assert_equal {OK} [r eval {return redis.call('numa.set', KEYS[1], 'v', 'node', '77')} 1 k]
            assert_equal 0 [numa_node_of k]
            assert_equal {OK} [r eval {return redis.call('numa.set', KEYS[1], 'v', 'node', '2')} 1 k]
            assert_equal 2 [numa_node_of k]
            assert_error {*Invalid target node*} {
                r eval {return redis.call('numa.set', KEYS[1], 'v', 'node', 'x')} 1 k
            }
        }

        test {proto-max-bulk-len bounds what APPEND and SETRANGE make} {
            r config set proto-max-bulk-len 2000000
            after 50
            twin_rows {
                {} {setrange <k> 1999999 x}
                {} {setrange <k> 2000000 x}
                {} {setrange <k> 9223372036854775807 x}
                {{setrange <k> 1999998 x}} {append <k> x}
                {{setrange <k> 1999998 x}} {append <k> xx}
                {{set <k> hello}} {setrange <k> 2000000 x}
            }
            assert_error {ERR string exceeds maximum allowed size (proto-max-bulk-len)} {
                r numa.setrange n 2000000 x
            }
            r config set proto-max-bulk-len 536870912
            after 50
            assert_equal 2000001 [r numa.setrange n 2000000 x]
            r del s n
        }

        test {512 MB: the last byte of a string, and the first that is too many} {
            assert_error {*maximum allowed size*} {r numa.setrange k 536870908 world}
            assert_error {*maximum allowed size*} {r numa.setrange k 4294967296 x}
            assert_error {*maximum allowed size*} {r numa.setrange k 9223372036854775807 A}
        }

        test {a value that no node has room for: OOM, and nothing is changed} {
            r del k
            r numa.set k old ex 5000
            assert_error {OOM*} {r numa.setrange k 400000000 x}
            assert_equal {old} [r numa.get k]
            assert_error {OOM*} {r numa.setrange absent 400000000 x}
            assert_equal 0 [r exists absent]
            assert_range [r ttl k] 4900 5000
        }

        test {binary and big values, set and read at random} {
            expr {srand(7)}
            for {set i 0} {$i < 60} {incr i} {
                set value [string repeat [randstring 1 64 binary] [expr {1 + int(rand() * 20000)}]]
                r numa.set big:$i $value
                set kept($i) $value
                set j [expr {int(rand() * ($i + 1))}]
                assert {[r numa.get big:$j] eq $kept($j)}
                assert_equal [string length $kept($j)] [r numa.strlen big:$j]
            }
            r flushall
        }

        test {RESP3: a missing value is a null} {
            r hello 3
            assert_equal {} [r numa.get none]
            r readraw 1
            r numa.get none
            assert_equal {_} [r numa.get none]
            r readraw 0
            r hello 2
        }
    }
}
