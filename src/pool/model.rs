//! The pool as a whole, against models of it.

use super::test_machine::{bench, node};
use crate::ids::Bytes;

#[test]
fn a_block_is_what_was_asked_for() {
    let bench = bench(&[Bytes::mib(64), Bytes::mib(64)]);
    for size in [0, 1, 16, 17, 512, 513, 4096, 32768, 32769, 1 << 20] {
        let mut block = bench.pool.alloc(size, &[node(1), node(0)]).unwrap();
        assert_eq!(block.node(), node(1));
        assert!(block.capacity() >= size && block.size() >= block.capacity());
        assert_eq!(block.addr() % 16, 0);
        block.bytes_mut().fill(0xa5);
        bench.check();
        assert_eq!(bench.live(), block.size() as u64);
        bench.pool.free(block);
    }
    bench.check_all_home();
}
