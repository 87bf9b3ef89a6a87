# Random words of the bit commands, as support/twins.tcl wants them (which is sourced first).

proc any_offset {} {
    if {[chance 5]} {return [pick {-1 abc {} 1.5 4294967296 9223372036854775807 01 #1 { 1}}]}
    return [upto [pick {8 64 600}]]
}

proc any_bit_index {} {
    if {[chance 5]} {return [pick {abc {} 9223372036854775807 -9223372036854775808 1.0}]}
    return [expr {[upto 60] - 30}]
}

proc any_field_offset {} {
    if {[chance 30]} {return #[upto 12]}
    return [any_offset]
}

proc any_bit_number {} {
    switch [upto 6] {
        0 {return [pick {9223372036854775807 -9223372036854775808 9223372036854775808 abc {} 1.5}]}
        1 {return [expr {[upto 1000000000] * [upto 1000000000]}]}
        default {return [expr {[upto 600] - 300}]}
    }
}

proc any_step {} {
    set type [pick {u i}][expr {1 + [upto 63]}]
    if {[chance 4]} {set type [pick {u64 i65 u0 i0 x8 {} u i-1 8 U8 u08 i64 i64}]}
    switch [upto 4] {
        0 {return [list [pick {get GET Get}] $type [any_field_offset]]}
        1 {return [list [pick {set SET}] $type [any_field_offset] [any_bit_number]]}
        2 {return [list [pick {incrby INCRBY}] $type [any_field_offset] [any_bit_number]]}
        3 {return [list overflow [pick {wrap SAT fail fail Wrap sat bogus}]]}
    }
}

proc any_bitfield {} {
    set words [list [pick {bitfield bitfield bitfield bitfield_ro}] [any_key]]
    for {set steps [upto 4]} {$steps >= 0} {incr steps -1} {lappend words {*}[any_step]}
    return $words
}

proc any_bit_operation {} {
    set key [any_key]
    set words [switch [upto 12] {
        0 - 1 {list setbit $key [any_offset] [pick {0 1 1 1 0 2 -1 abc {}}]}
        2 {list getbit $key [any_offset]}
        3 {list bitcount $key}
        4 {list bitcount $key [any_bit_index] [any_bit_index]}
        5 {list bitpos $key [pick {0 1 0 1 0 1 2 abc}]}
        6 {concat [list bitpos $key [pick {0 1}] [any_bit_index]] [pick [list {} [any_bit_index]]]}
        7 {concat [list bitop [pick {and OR xor Xor AND bogus}] $key [any_key] [any_key]] \
            [pick [list {} [any_key] [list [any_key] [any_key]]]]}
        8 {concat [list bitop [pick {not NOT}] $key [any_key]] [pick [list {} {} {} [any_key]]]}
        9 - 10 {any_bitfield}
        11 {pick [list [list del $key] [list lpush $key x] [list pexpire $key 700000] \
            [list set $key [string repeat [pick {\x00 \xff foobar}] [upto 40]]]]}
    }]
    if {[chance 2]} {set words [lrange $words 0 end-1]}
    if {[chance 2] && [lindex $words 0] ni {del pexpire}} {lappend words [pick {1 abc}]}
    return $words
}
