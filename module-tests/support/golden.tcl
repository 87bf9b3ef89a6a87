# What the golden files hold: every type in its forms, made by commands that will always make the same.

proc golden_fill {} {
    r numa.set golden:string "text \x00\xff\r\n"
    r numa.set golden:expires soon
    r pexpireat golden:expires 4102444800000
    r numa.set golden:number 42
    r numa.rpush golden:list a {} "\x00\xff" -7 [string repeat long 100]
    r numa.zadd golden:zset 1 a 2.5 {} inf b -inf "\x00\xff" 0.1 [string repeat long 100]
    r numa.hset golden:hash a 1 {} {} "\x00\xff" "\x00" [string repeat long 100] x
    r numa.sadd golden:set a {} "\x00\xff" -7 [string repeat long 100]
    for {set i 0} {$i < 400} {incr i} {
        r numa.rpush golden:list:big $i
        r numa.zadd golden:zset:big $i m$i
        r numa.hset golden:hash:big f$i $i
        r numa.sadd golden:set:big m$i
    }
}

proc golden_file {name} {
    return [file join [file dirname [info script]] .. golden $name.base64]
}

# The bytes of a golden file.
proc golden_read {name} {
    set file [open [golden_file $name]]
    set text [read $file]
    close $file
    return [binary decode base64 $text]
}

proc golden_write {name bytes} {
    set file [open [golden_file $name] w]
    puts $file [binary encode base64 -maxlen 100 $bytes]
    close $file
}
