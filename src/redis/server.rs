//! What the module keeps while it is loaded, in cells by who needs it when.
//!
//! The split is the point: a read of a value borrows `pulse` alone, a write also `steering`, and
//! the timer's work lives in `works`, so that no flow ever finds its cell taken by another.
//! Order where two are held: works, then plugins, steering, pulse; settings are copied, never held.

use super::bulk_len::BulkLen;
use super::late_free::LateFrees;
use super::main_cell::MainCell;
use super::native::NativePlane;
use super::plugin::Plugins;
use super::pulse::Pulse;
use super::steering::Steering;
use super::transparent::Switch;
use super::types::Handles;
use super::verify::Verifier;
use super::works::Works;
use crate::config::{Config, NativeKeys, Origins};
use crate::ids::{Bytes, NodeId};
use crate::machine::Machine;
use crate::migrate::Task;
use crate::placement::{default_weight, Policy};
use crate::pool::PoolHandle;
use once_cell::sync::OnceCell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The configuration and where each value came from.
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) origins: Origins,
}

/// The loaded module.
pub(crate) struct Server {
    pub(crate) machine: &'static dyn Machine,
    pub(crate) pool: PoolHandle,
    pub(crate) settings: MainCell<Settings>,
    pub(crate) pulse: MainCell<Pulse>,
    pub(crate) steering: MainCell<Steering>,
    pub(crate) works: MainCell<Works>,
    pub(crate) verifier: MainCell<Verifier>,
    /// Strategies of other modules.
    pub(crate) plugins: MainCell<Plugins>,
    /// Keys of the server's own types.
    pub(crate) native: NativePlane,
    /// What each node could hold when it was asked last, once a second: mapped then and free then.
    rooms: MainCell<BTreeMap<NodeId, Bytes>>,
    /// How `used_memory` is made to follow: a word for the log and INFO.
    pub(crate) charge_way: &'static str,
    /// The server's handles of the NUMA types.
    pub(crate) types: Handles,
    /// Payloads of RDB files or RESTORE that were refused.
    pub(crate) rejected_payloads: AtomicU64,
    /// Values of the module's types that the server holds.
    pub(super) values: AtomicU64,
    pub(super) late_frees: LateFrees,
    pub(super) bulk_len: BulkLen,
    /// The filter of `numa-transparent-types`.
    pub(super) transparency: Switch,
    /// Whether the ACL users kept it off when it was last asked.
    pub(super) transparency_refused: AtomicBool,
    /// Where the next call's random numbers begin.
    dice: AtomicU64,
}

static SERVER: OnceCell<Server> = OnceCell::new();

/// The loaded module; nothing before the load is done.
pub(crate) fn server() -> Option<&'static Server> {
    SERVER.get()
}

/// What the load has made ready.
pub(crate) struct Parts {
    pub(crate) machine: &'static dyn Machine,
    pub(crate) pool: PoolHandle,
    pub(crate) settings: Settings,
    pub(crate) charge_way: &'static str,
    pub(crate) types: Handles,
    pub(crate) server_cpus: Vec<usize>,
}

impl Server {
    /// Puts the module in its place; an error if one is there already.
    pub(crate) fn install(parts: Parts) -> Result<&'static Self, &'static str> {
        let Parts {
            machine,
            pool,
            settings,
            charge_way,
            types,
            server_cpus,
        } = parts;
        let works = Works::new(machine, &settings.config, &server_cpus);
        let home = works.home();
        let made = Self {
            machine,
            pool,
            pulse: MainCell::new(Pulse::new(home, &settings.config)),
            steering: MainCell::new(Steering::new(machine, pool, home, &settings.config)),
            works: MainCell::new(works),
            verifier: MainCell::new(Verifier::default()),
            plugins: MainCell::new(Plugins::default()),
            native: NativePlane::default(),
            rooms: MainCell::new(BTreeMap::new()),
            settings: MainCell::new(settings),
            charge_way,
            types,
            rejected_payloads: AtomicU64::new(0),
            values: AtomicU64::new(0),
            late_frees: LateFrees::default(),
            bulk_len: BulkLen::new(),
            transparency: Switch::new(),
            transparency_refused: AtomicBool::new(false),
            dice: AtomicU64::new(RandomState::new().hash_one(0)),
        };
        SERVER
            .set(made)
            .map_err(|_| "the module is loaded already")?;
        let server = SERVER.get().ok_or("the module could not be put in place")?;
        server.apply(&server.config());
        server.ask_rooms();
        Ok(server)
    }

    /// Dice for one call: numbers over all of `u64`, other ones for each call.
    pub(crate) fn dice(&self) -> impl FnMut() -> u64 {
        let mut state = mix(self.dice.fetch_add(SPLITMIX_STEP, Ordering::Relaxed));
        move || {
            state = state.wrapping_add(SPLITMIX_STEP);
            mix(state)
        }
    }

    /// A copy of the configuration.
    pub(crate) fn config(&self) -> Config {
        self.settings
            .with(|settings| settings.config.clone())
            .unwrap_or_default()
    }

    /// Hands a changed configuration to everyone who keeps a part of it.
    pub(crate) fn apply(&self, config: &Config) {
        self.pulse.with(|pulse| pulse.apply(config));
        self.steering.with(|steering| steering.apply(config));
        self.works.with(|works| works.apply(config));
        self.watch_native(config);
        for node in self.machine.topology().ids() {
            self.pool.set_limit(node, config.node_limit(node));
        }
    }

    /// Says what of passing commands is of use until the next tick.
    pub(crate) fn watch_native(&self, config: &Config) {
        if let Some(native) = self.native.get() {
            let watches = config.native_keys != NativeKeys::Off;
            let manages = config.native_keys == NativeKeys::Manage;
            let spreads = config.policy != Policy::LocalFirst || config.default_node.is_some();
            native.set_watching(watches, manages, manages && spreads);
        }
    }

    /// Runs `work` as if no node had a limit.
    pub(crate) fn beyond_limits<R>(&self, work: impl FnOnce() -> R) -> R {
        let limits = || {
            self.machine
                .topology()
                .ids()
                .map(|id| (id, self.pool.usage(id).limit))
        };
        let limits: Vec<_> = limits().collect();
        for (id, _) in &limits {
            self.pool.set_limit(*id, Bytes::MAX);
        }
        let done = work();
        for (id, limit) in limits {
            self.pool.set_limit(id, limit);
        }
        done
    }

    /// The node that the main thread runs on.
    pub(crate) fn home(&self) -> NodeId {
        let at_load = || self.machine.topology().usable().next();
        let known = self.pulse.with(|pulse| pulse.home).or_else(at_load);
        known.unwrap_or(NodeId::FIRST)
    }

    /// Asks the machine what each node has free: files and system calls, so once a second.
    pub(crate) fn ask_rooms(&self) {
        let ids = self.machine.topology().ids();
        ids.for_each(|id| self.machine.note_held(id, self.native.held(id)));
        let ids = self.machine.topology().ids();
        let most = |id| self.mapped_on(id) + self.machine.room(id);
        let asked: BTreeMap<_, _> = ids.map(|id| (id, most(id))).collect();
        // What native values take of a node or of its limit is not there for new ones.
        let live = |id| self.pool.usage(id).live;
        let left = |(id, most): (&NodeId, &Bytes)| {
            let native = self.used_on(*id) - live(*id);
            (*id, self.pool.usage(*id).limit.min(*most) - native)
        };
        let left = asked.iter().map(left).collect();
        self.steering.with(|steering| steering.set_mosts(&left));
        self.rooms.with(|rooms| *rooms = asked);
    }

    /// The most that values may use on a node: its limit, or what is really to be had there.
    pub(crate) fn most_of(&self, node: NodeId) -> Bytes {
        let most = self.rooms.with(|rooms| rooms.get(&node).copied()).flatten();
        self.pool.usage(node).limit.min(most.unwrap_or_default())
    }

    /// Bytes of a node that values of either plane hold, those free for the next ones included.
    fn mapped_on(&self, node: NodeId) -> Bytes {
        self.pool.usage(node).mapped + self.native.held(node)
    }

    /// Whether the machine said, when it was asked last, that a node has that much free.
    pub(crate) fn has_room(&self, node: NodeId, room: Bytes) -> bool {
        let most = self.rooms.with(|rooms| rooms.get(&node).copied()).flatten();
        most.unwrap_or_default() >= self.mapped_on(node) + room
    }

    /// Whether a node takes that many bytes more: by its limit, and by what it has free.
    pub(crate) fn has_room_for(&self, node: NodeId, bytes: Bytes) -> bool {
        let limit = self.pool.usage(node).limit;
        self.used_on(node) + bytes <= limit && self.has_room(node, bytes)
    }

    /// Bytes of values of both planes on a node; of native ones where they are managed.
    pub(crate) fn used_on(&self, node: NodeId) -> Bytes {
        let manages = |settings: &mut Settings| settings.config.native_keys == NativeKeys::Manage;
        let native = if self.settings.with(manages) == Some(true) {
            self.native_on(node)
        } else {
            Bytes::ZERO
        };
        self.pool.usage(node).live + native
    }

    /// Bytes of native data on a node.
    pub(crate) fn native_on(&self, node: NodeId) -> Bytes {
        self.native.used_on(node, self.pool_live())
    }

    fn pool_live(&self) -> Bytes {
        let ids = self.machine.topology().ids();
        ids.map(|id| self.pool.usage(id).live).sum()
    }

    /// For how many keys an era is to last. Accesses of native keys are counted by samples, which
    /// take twice the time to tell as much.
    pub(crate) fn keys_of_an_era(&self) -> u64 {
        self.numa_keys() + self.native.get().map_or(0, |native| 2 * native.keys())
    }

    /// Keys of the module's types.
    pub(crate) fn numa_keys(&self) -> u64 {
        self.values.load(Ordering::Relaxed)
    }

    /// The server took a value of ours.
    pub(super) fn value_came(&self) {
        self.values.fetch_add(1, Ordering::Relaxed);
    }

    /// The server gave a value of ours back, on whichever thread.
    pub(super) fn value_went(&self) {
        self.values.fetch_sub(1, Ordering::Relaxed);
    }

    /// Bytes that watching keys costs beyond their headers.
    pub(crate) fn tracking_bytes(&self) -> u64 {
        std::mem::size_of::<Self>() as u64
            + self.pulse.with(|pulse| pulse.ring_bytes()).unwrap_or(0)
            + self
                .native
                .get()
                .map_or(0, |native| native.tracking_bytes())
    }

    /// Bytes that the kernel says lie on a node, of the pool's.
    pub(crate) fn verified_on(&self, node: NodeId) -> Bytes {
        self.verifier
            .with(|verifier| verifier.bytes_on(node))
            .unwrap_or_default()
    }

    /// The weight of a node: given, else from the machine.
    pub(crate) fn weight(&self, config: &Config, node: NodeId) -> u32 {
        let given = config.node_weights.get(&node).copied();
        given.unwrap_or_else(|| default_weight(self.machine.topology(), node))
    }

    /// The rebalancing pass that the policy asks for; nothing where there is one node only.
    ///
    /// Even for the policies that spread evenly, by weight for `weighted`, by what each node may
    /// hold for the others.
    pub(crate) fn rebalance_task(&self, config: &Config) -> Option<Task> {
        let nodes: Vec<_> = self.machine.topology().usable().collect();
        let share = |node: NodeId| match config.policy {
            Policy::Interleaved | Policy::RoundRobin => 1,
            Policy::Weighted => self.weight(config, node),
            _ => u32::try_from(self.most_of(node).0 >> 20)
                .unwrap_or(u32::MAX)
                .max(1),
        };
        let ideal: Vec<_> = nodes.iter().map(|node| (*node, share(*node))).collect();
        (nodes.len() > 1).then_some(Task::Rebalance {
            threshold: config.balance_threshold,
            ideal,
        })
    }

    /// Whether a node holds more than its share by more than the threshold.
    pub(crate) fn is_unbalanced(&self, task: &Task) -> bool {
        let Task::Rebalance { threshold, ideal } = task else {
            return false;
        };
        let used: Bytes = ideal.iter().map(|(node, _)| self.used_on(*node)).sum();
        let weights: u64 = ideal.iter().map(|(_, weight)| u64::from(*weight)).sum();
        ideal.iter().any(|(node, weight)| {
            let percent = u64::from(*weight) * 100 / weights.max(1) + u64::from(*threshold);
            self.used_on(*node) > used.percent(percent)
        })
    }
}

/// The step of SplitMix64.
const SPLITMIX_STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// What SplitMix64 makes of its state.
const fn mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
