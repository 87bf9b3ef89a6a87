# Payloads of RESTORE made by hand, for tests of what a hostile client may send.

# A short payload of the type `name`, made by hand: the words are unsigned numbers (u <n>) and
# strings (s <bytes>), as RedisModule_Save* writes them.
proc payload {name words} {
    set alphabet {ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_}
    set id 0
    foreach letter [split $name {}] {
        set id [expr {($id << 6) | [string first $letter $alphabet]}]
    }
    # Type 7 is a module's value; the id has the encoding version in its low ten bits.
    set bytes [binary format c 7][rdb_length [expr {($id << 10) | 1}]]
    foreach {kind word} $words {
        if {$kind eq {u}} {append bytes [rdb_length 2][rdb_length $word]}
        if {$kind eq {s}} {append bytes [rdb_length 5][rdb_length [string length $word]]$word}
    }
    return $bytes[rdb_length 0]
}

proc rdb_length {number} {return [binary format cW 0x81 $number]}

# With a checksum that the server is told not to look at.
proc restore {key bytes} {
    r debug set-skip-checksum-validation 1
    return [r restore $key 0 $bytes[binary format sW 9 0]]
}
