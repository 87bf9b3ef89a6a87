# Each string command against its NUMA twin: the same random words, the stock command on s:<k>, the
# twin on n:<k>. Every reply must be the same (an error's text too, but for the command's name), and
# so must be what lies there after each batch. Between batches the twins are moved from node to node,
# saved and loaded, and converted to native and back, which must change nothing that a client sees.
#
# The words follow from one seed; NUMA_TEST_SEED in the environment sets another.
source [file join [file dirname [info script]] .. support numa.tcl]

set ::diff_seed 20230417
if {[info exists ::env(NUMA_TEST_SEED)]} {set ::diff_seed $::env(NUMA_TEST_SEED)}
# Operations in all; each is two commands.
set ::diff_operations 100000
# Operations that are under way at once.
set ::diff_batch 1000
set ::diff_keys 24
# How far two TTLs of one operation may lie apart, in ms: the commands of a batch take their time.
set ::diff_ttl_slack 20000

proc pick {list} {lindex $list [expr {int(rand() * [llength $list])}]}
proc chance {percent} {expr {rand() * 100 < $percent}}
proc upto {max} {expr {int(rand() * $max)}}

# A key of the operation; `both` puts s: or n: before it.
proc any_key {} {return "<key>:[upto $::diff_keys]"}

proc any_bytes {max} {
    set bytes {}
    for {set left [upto $max]} {$left > 0} {incr left -1} {
        append bytes [format %c [upto 256]]
    }
    return $bytes
}

proc any_number {} {
    switch [upto 6] {
        0 {return [expr {[upto 2000] - 1000}]}
        1 {return [pick {0 1 -1 9223372036854775807 -9223372036854775808 9223372036854775806}]}
        2 {return [pick {9223372036854775808 -9223372036854775809 18446744073709551616}]}
        3 {return [pick {{} abc 1.5 { 1} {1 } +1 01 -0 0x10 1e3 - 12345678901234567890123}]}
        default {return [upto 100]}
    }
}

proc any_float {} {
    switch [upto 5] {
        0 {return [expr {[upto 20000] / 100.0 - 100}]}
        1 {return [pick {inf -inf nan 1e5000 1e4932 1e-4951 {} abc {1 } { 1} 0x10 1e3 -0 1.1.1}]}
        2 {return [pick {0.1 0.2 1e17 -1e17 3.0e3 123456789012345678 1e300 1e-20 9007199254740993}]}
        default {return [expr {[upto 100] - 50}]}
    }
}

proc any_value {} {
    switch [upto 10] {
        0 {return {}}
        1 - 2 {return [any_number]}
        3 {return [any_float]}
        4 - 5 {return [any_bytes 40]}
        6 {return [string repeat [pick {ab xyz \x00 redis}] [upto 200]]}
        7 {return [string repeat [any_bytes 8] [upto 900]]}
        default {return [pick {foo bar 10 100 hello 1.5 abcabba cbabac}]}
    }
}

proc any_index {} {
    switch [upto 8] {
        0 {return [any_number]}
        1 {return [pick {4294967297 -4294967297 9223372036854775807 -9223372036854775808}]}
        default {return [expr {[upto 60] - 30}]}
    }
}

# A deadline for the option `unit`: far off, so that both keys of an operation are alive together.
proc any_deadline {unit} {
    if {[chance 8]} {return [pick {0 -1 9223372036854775807 -9223372036854775808 abc {} 1.0}]}
    if {[chance 4]} {return 9223372036854775}
    if {[chance 4]} {return 9223372036854774}
    set seconds [pick {200 1000 5000 100000 10000000}]
    switch $unit {
        ex {return $seconds}
        px {return [expr {$seconds * 1000 + [upto 1000]}]}
        exat {if {[chance 10]} {return 1}; return [expr {$::diff_now + $seconds}]}
        pxat {if {[chance 10]} {return 1}; return [expr {($::diff_now + $seconds) * 1000}]}
    }
}

# A word in any case: options are read without regard to it.
proc any_case {word} {
    switch [upto 3] {
        0 {return $word}
        1 {return [string toupper $word]}
        2 {return [string totitle $word]}
    }
}

proc any_expiry {} {
    set unit [pick {ex px exat pxat}]
    set words [list [any_case $unit]]
    if {![chance 3]} {lappend words [any_deadline $unit]}
    return $words
}

proc any_set {} {
    set words [list set [any_key] [any_value]]
    if {[chance 30]} {lappend words [any_case [pick {nx xx}]]}
    if {[chance 25]} {lappend words [any_case get]}
    if {[chance 15]} {lappend words [any_case keepttl]}
    if {[chance 40]} {lappend words {*}[any_expiry]}
    if {[chance 8]} {lappend words {*}[pick {nx xx get keepttl persist bogus {} {ex 100} {px 200000}}]}
    return $words
}

proc any_getex {} {
    set words [list getex [any_key]]
    if {[chance 60]} {lappend words {*}[any_expiry]}
    if {[chance 30]} {lappend words [any_case persist]}
    if {[chance 8]} {lappend words {*}[pick {nx get keepttl bogus persist {ex 100} {px 200000}}]}
    return $words
}

proc any_pairs {command} {
    set words [list $command]
    for {set pairs [expr {1 + [upto 4]}]} {$pairs > 0} {incr pairs -1} {
        lappend words [any_key] [any_value]
    }
    if {[chance 8]} {lappend words [any_key]}
    return $words
}

proc any_lcs {} {
    set words [list stralgo [any_case [pick {lcs lcs lcs lcs lcs lcs lcs lcs lcs bogus}]]]
    foreach {option percent} {idx 50 len 30 withmatchlen 40} {
        if {[chance $percent]} {lappend words [any_case $option]}
    }
    if {[chance 30]} {lappend words minmatchlen [pick {0 1 2 4 -1 100 abc 9223372036854775807}]}
    set sources [list [list keys [any_key] [any_key]] \
        [list strings [pick {abcabba ohmytext {}}] [pick {cbabac mynewtext {}}]]]
    lappend words {*}[pick $sources]
    if {[chance 5]} {lappend words {*}[pick $sources]}
    if {[chance 5]} {set words [lrange $words 0 end-1]}
    return $words
}

# The words of one operation. The command's own words come first: `both` renames the string
# commands for the twin, and leaves those that serve every type as they are.
proc any_operation {} {
    set key [any_key]
    set words [switch [upto 30] {
        0 - 1 - 2 {any_set}
        3 - 4 {list get $key}
        5 {list setnx $key [any_value]}
        6 {list setex $key [any_deadline ex] [any_value]}
        7 {list psetex $key [any_deadline px] [any_value]}
        8 {list getset $key [any_value]}
        9 {list getdel $key}
        10 - 11 {any_getex}
        12 {concat mget $key [any_key] [any_key]}
        13 {any_pairs mset}
        14 {any_pairs msetnx}
        15 - 16 {list append $key [any_value]}
        17 {list strlen $key}
        18 {list [pick {getrange substr}] $key [any_index] [any_index]}
        19 - 20 {list setrange $key [any_index] [any_value]}
        21 {list [pick {incr decr}] $key}
        22 - 23 {list [pick {incrby decrby}] $key [any_number]}
        24 - 25 {list incrbyfloat $key [any_float]}
        26 {any_lcs}
        27 {any_common $key}
        28 {any_common $key}
        29 {list [pick {get strlen incr append getdel set setrange}] $key}
    }]
    # Now and then words too many or too few; those too many must not be taken for keys.
    if {[lindex $words 0] ni {mget mset msetnx del unlink exists touch}} {
        if {[chance 2]} {lappend words extra}
        if {[chance 1]} {lappend words extra words}
    }
    if {[chance 2]} {set words [lrange $words 0 end-1]}
    return $words
}

# Commands for every type, which must treat the twin as they treat a stock string, and keys of
# another type, which both must refuse.
proc any_common {key} {
    switch [upto 12] {
        0 - 1 {list del $key}
        2 {list unlink $key [any_key]}
        3 {list persist $key}
        4 {list pexpire $key [pick {300000 7000000 -1}]}
        5 {list exists $key [any_key]}
        6 {list rename $key [any_key]}
        7 {list copy $key [any_key] replace}
        8 {list renamenx $key [any_key]}
        9 {list lpush $key x}
        10 {list hset $key field value}
        11 {list touch $key [any_key]}
    }
}

set ::diff_common {del unlink persist pexpire exists rename copy renamenx lpush hset touch}

# The words for `s` (stock) or `n` (the twin).
proc both {words side} {
    set words [string map [list <key>: $side:] $words]
    set command [string tolower [lindex $words 0]]
    if {$side eq {n} && $command ni $::diff_common} {
        set words [lreplace $words 0 0 numa.[lindex $words 0]]
        if {[chance 20]} {set words [with_node $command $words]}
    }
    return $words
}

# The twin's words with a hint, if it takes one there: it must not change what is answered.
proc with_node {command words} {
    set full {setnx 3 setex 4 psetex 4 getset 3 append 3 setrange 4}
    set hint [list [any_case node] [upto 3]]
    if {$command eq {set} && [llength $words] >= 3} {return [linsert $words 3 {*}$hint]}
    if {[dict exists $full $command] && [dict get $full $command] == [llength $words]} {
        return [concat $words $hint]
    }
    return $words
}

# Bytes that may be anything, for a message.
proc printable {bytes} {
    set text {}
    foreach byte [split [string range $bytes 0 400] {}] {
        if {[string is print -strict $byte]} {append text $byte} else {
            append text [format {\x%02x} [scan $byte %c]]
        }
    }
    return $text
}

# What the client was answered, an error marked as one.
proc answer {client} {
    if {[catch {$client read} reply]} {return [list error [string map {numa. {}} $reply]]}
    return [list reply $reply]
}

# Runs the operations on both sides; the first difference is a failure.
proc compare_batch {client operations} {
    foreach words $operations {
        $client {*}[both $words s]
        $client {*}[both $words n]
    }
    foreach words $operations {
        set stock [answer $client]
        set twin [answer $client]
        if {$stock ne $twin} {
            fail "seed $::diff_seed: {[printable [join $words { | }]]}:\
                stock answered {[printable $stock]}, the twin {[printable $twin]}"
        }
    }
}

proc type_of_twin {stock} {
    if {$stock eq {string}} {return numa-strg}
    return $stock
}

# Compares every key: there or not, type, bytes, length, time to live.
proc compare_keys {client when} {
    for {set k 0} {$k < $::diff_keys} {incr k} {
        foreach side {s n} {
            foreach command {exists type pttl} {$client $command $side:$k}
        }
        foreach command {get strlen} {
            $client $command s:$k
            $client numa.$command n:$k
        }
    }
    for {set k 0} {$k < $::diff_keys} {incr k} {
        lassign [list [$client read] [$client read] [$client read]] exists type pttl
        lassign [list [$client read] [$client read] [$client read]] twin_exists twin_type twin_pttl
        assert_equal $exists $twin_exists "$when: exists $k"
        assert_equal [type_of_twin $type] $twin_type "$when: type of $k"
        foreach command {get strlen} {
            set stock [answer $client]
            set twin [answer $client]
            if {$stock ne $twin} {fail "$when: $command $k: {$stock} and {$twin}"}
        }
        compare_ttl $pttl $twin_pttl "$when: pttl of $k"
    }
}

proc compare_ttl {stock twin what} {
    if {$stock < 0 || $twin < 0} {
        assert_equal $stock $twin $what
    } elseif {abs($stock - $twin) > $::diff_ttl_slack} {
        fail "$what: $stock and $twin"
    }
}

# The twins that are NUMA strings now.
proc twins {} {
    set found {}
    for {set k 0} {$k < $::diff_keys} {incr k} {
        if {[r type n:$k] eq {numa-strg}} {lappend found n:$k}
    }
    return $found
}

proc convert_there_and_back {} {
    foreach key [twins] {
        # It may expire in between.
        if {[catch {r numa convert $key native} reply]} {
            assert_equal {ERR Key not found} $reply
            continue
        }
        assert_equal {string} [r type $key]
        assert_equal {OK} [r numa convert $key numa]
    }
}

# What happens to the twins between batches.
proc disturb {batch} {
    set keys [twins]
    if {[llength $keys] > 0} {
        set moved [r numamigrate keys [expr {$batch % 3}] {*}$keys]
        assert_equal 0 [numa_pair $moved failed]
    }
    if {$batch % 10 == 3} {r debug reload}
    if {$batch % 10 == 7} {convert_there_and_back}
}

tags {strings slow} {
    start_numa_server [numa_three_nodes] {overrides {save {}}} {
        test {string commands and their NUMA twins answer the same, whatever comes} {
            expr {srand($::diff_seed)}
            set ::diff_now [clock seconds]
            set client [redis_deferring_client]
            set batches [expr {$::diff_operations / $::diff_batch}]
            for {set batch 0} {$batch < $batches} {incr batch} {
                set operations {}
                for {set i 0} {$i < $::diff_batch} {incr i} {lappend operations [any_operation]}
                compare_batch $client $operations
                compare_keys $client "seed $::diff_seed, batch $batch"
                disturb $batch
                compare_keys $client "seed $::diff_seed, batch $batch, moved"
            }
            $client close
        }

        test {and nothing was caught or lost on the way} {
            assert_equal 0 [numa_info numa_panics_caught]
            assert_equal 0 [numa_info numa_rdb_rejected]
            assert_morethan [numa_info numa_migrations] 100
            r flushall
            numa_wait 5 {[numa_info numa_node0_used_bytes] + [numa_info numa_node1_used_bytes]
                + [numa_info numa_node2_used_bytes] == 0} {all blocks back after FLUSHALL}
        }
    }
}
