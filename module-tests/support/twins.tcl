# What the tests share that hold stock commands against their NUMA twins: the same random words, the
# stock command on s:<k>, the twin on n:<k>. A test file sources it behind numa.tcl, says what an
# operation is (`any_operation`), and calls `compare_operations`.
#
# The words follow from one seed; NUMA_TEST_SEED in the environment sets another. `make
# test-differential` runs a million operations of each type.

set ::twins_seed 20240607
if {[info exists ::env(NUMA_TEST_SEED)] && $::env(NUMA_TEST_SEED) ne {}} {
    set ::twins_seed $::env(NUMA_TEST_SEED)
}

# Operations of each type.
set ::twins_operations 100000
if {[info exists ::env(NUMA_TEST_OPERATIONS)]} {set ::twins_operations $::env(NUMA_TEST_OPERATIONS)}

# Commands that serve every type, and are the same on both sides.
set ::twins_plain {del unlink rename renamenx copy exists type persist pexpire touch sadd set sort}
# What the twin calls otherwise than stock does.
set ::twins_types {
    numa-strg string numa-list list numa-zset zset numa-hash hash numa-sets set
}
# Keys of one side.
set ::twins_keys 8
# What was done, for the note at the end.
set ::twins_done {}

proc upto {max} {expr {int(rand() * $max)}}
proc chance {percent} {expr {rand() * 100 < $percent}}
proc pick {list} {lindex $list [upto [llength $list]]}
proc any_key {} {return "<key>:[upto $::twins_keys]"}

# A word in any case: options are read without regard to it.
proc any_case {word} {pick [list $word [string toupper $word] [string totitle $word]]}

proc any_bytes {max} {
    set bytes {}
    for {set left [upto $max]} {$left > 0} {incr left -1} {append bytes [format %c [upto 256]]}
    return $bytes
}

# Now and then words too many or too few.
proc with_wrong_arity {words} {
    # One word less, and these answer anything.
    if {[lindex $words 0] in {zrandmember zscan hrandfield hscan srandmember sscan spop}} {
        return $words
    }
    if {[chance 1] && [lindex $words 0] ni $::twins_plain} {lappend words extra}
    if {[chance 1]} {set words [lrange $words 0 end-1]}
    return $words
}

# What the twin is told beyond the stock words; a type with hints says it anew.
proc twins_hint {words} {return $words}

# The words for `s` (stock) or `n` (the twin).
proc both {words side} {
    set words [string map [list <key>: $side:] $words]
    if {$side eq {s} || [lindex $words 0] in $::twins_plain} {return $words}
    set words [twins_hint $words]
    return [lreplace $words 0 0 numa.[lindex $words 0]]
}

# Bytes that may be anything, for a message.
proc printable {bytes} {
    set text {}
    foreach byte [split [string range $bytes 0 600] {}] {
        if {[string is print -strict $byte]} {append text $byte} else {
            append text [format {\x%02x} [scan $byte %c]]
        }
    }
    return $text
}

# What the client was answered, an error marked as one.
proc answer {client words} {
    if {[catch {$client read} reply]} {return [list error [string map {numa. {}} $reply]]}
    return [list reply [without_names $words $reply]]
}

# A reply without what the two sides call differently: types, and the key where a reply begins with
# its name. Nothing else is touched: elements are any bytes.
proc without_names {words reply} {
    switch [lindex $words 0] {
        type {return [string map $::twins_types $reply]}
        blpop - brpop - bzpopmin - bzpopmax {
            if {[llength $reply] > 0} {lset reply 0 [string range [lindex $reply 0] 2 end]}
        }
    }
    return $reply
}

# What of a reply must be the same: all of it, unless the type has no order of its own.
proc twins_normal {words reply} {return $reply}

# Runs the operations on both sides; the first difference is a failure.
proc compare_batch {client operations} {
    foreach words $operations {
        $client {*}[both $words s]
        $client {*}[both $words n]
    }
    set at 0
    foreach words $operations {
        set stock [answer $client $words]
        set twin [answer $client $words]
        if {[twins_normal $words $stock] ne [twins_normal $words $twin]} {
            fail "seed $::twins_seed: {[printable [join $words { | }]]}:\
                stock answered {[printable $stock]}, the twin {[printable $twin]};\
                before: [said_of [lindex $words 1] [lrange $operations 0 $at-1]]"
        }
        incr at
    }
}

# The last of the operations that name a key.
proc said_of {key operations} {
    set named [lsearch -all -inline $operations *$key*]
    return [join [lmap words [lrange $named end-9 end] {printable [join $words { | }]}] "\n"]
}

# What lies at every key must be the same: its type, its time to live, and what the command `show`
# (with `<key>` for the key) answers.
proc compare_keys {client show when} {
    set operations {}
    for {set k 0} {$k < $::twins_keys} {incr k} {
        lappend operations [list type <key>:$k] [string map [list <key> <key>:$k] $show]
    }
    if {[catch {compare_batch $client $operations} message]} {error "$when: $message"}
    for {set k 0} {$k < $::twins_keys} {incr k} {
        # The two commands of an operation take their time.
        set left [list [r pttl s:$k] [r pttl n:$k]]
        lassign $left stock twin
        if {($stock < 0 || $twin < 0) ? $stock != $twin : abs($stock - $twin) > 20000} {
            fail "$when: times to live of key $k: $left"
        }
    }
}

# The twins that hold a value of that NUMA type now.
proc twins {type} {
    set found {}
    for {set k 0} {$k < $::twins_keys} {incr k} {
        if {[r type n:$k] eq $type} {lappend found n:$k}
    }
    return $found
}

proc twins_count {what {more 1}} {dict incr ::twins_done $what $more}

# What happens to the twins between batches, and must change nothing that a client sees.
proc disturb {batch type stock} {
    set keys [twins $type]
    if {[llength $keys] > 0} {
        set moved [r numamigrate keys [expr {$batch % 3}] {*}$keys]
        assert_equal 0 [numa_pair $moved failed]
        twins_count moves [numa_pair $moved moved]
    }
    switch [expr {$batch % 8}] {
        3 {r debug reload; twins_count {RDB reloads}}
        5 {reload_aof [expr {$batch % 16 == 5 ? {yes} : {no}}]}
        7 {if {$batch % 16 == 7} {convert_there_and_back $keys $stock} else {release_and_back $stock}}
    }
}

# Once with what the commands wrote, once rewritten, with a preamble or without.
proc reload_aof {preamble} {
    r debug loadaof
    twins_count {AOF reloads of commands}
    r config set aof-use-rdb-preamble $preamble
    r bgrewriteaof
    waitForBgrewriteaof r
    r debug loadaof
    twins_count "AOF reloads with preamble $preamble"
}

proc convert_there_and_back {keys stock} {
    foreach key $keys {
        # It may expire in between.
        if {[catch {r numa convert $key native} reply]} {
            assert_equal {ERR Key not found} $reply
            continue
        }
        assert_equal $stock [r type $key]
        assert_equal OK [r numa convert $key numa]
        twins_count conversions 2
    }
}

proc release_and_back {stock} {
    r numa release match n:*
    numa_wait 60 {[numa_pair [r numa status] pass] eq {none}} {the release to end}
    # A type may have keys of other names too.
    foreach key [r keys n:*] {
        set type [r type $key]
        if {[string match numa-* $type]} {fail "$key was not released"}
        if {$type ne $stock} continue
        if {[catch {r numa convert $key numa} reply]} {assert_equal {ERR Key not found} $reply}
        twins_count conversions 2
    }
    twins_count releases
}

# Runs operations in batches; after each, all keys are compared, disturbed and compared.
proc compare_operations {type stock show} {
    expr {srand($::twins_seed)}
    set client [redis_deferring_client]
    set batches [expr {$::twins_operations / 500}]
    for {set batch 0} {$batch < $batches} {incr batch} {
        set operations {}
        for {set i 0} {$i < 500} {incr i} {lappend operations [any_operation]}
        compare_batch $client $operations
        twins_count operations 500
        compare_keys $client $show "seed $::twins_seed, batch $batch"
        disturb $batch $type $stock
        compare_keys $client $show "seed $::twins_seed, batch $batch, moved"
    }
    $client close
    set said [lmap {what count} $::twins_done {string cat "$count $what"}]
    puts "\[note\]: $stock, seed $::twins_seed: [join $said {, }]"
}

# That nothing was caught or lost on the way: after FLUSHALL every block is back.
proc assert_all_blocks_back {} {
    assert_equal 0 [numa_info numa_panics_caught]
    assert_equal 0 [numa_info numa_rdb_rejected]
    r flushall
    numa_wait 5 {[numa_info numa_node0_used_bytes] + [numa_info numa_node1_used_bytes]
        + [numa_info numa_node2_used_bytes] == 0} {all blocks back after FLUSHALL}
}
