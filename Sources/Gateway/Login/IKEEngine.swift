import Datapath
import GatewayCrypto
import HeapModule
import IKE
import IKEMessages
import LinuxIO
import Wire

/// One shard of the IKE SAs, and the only driver of `IKESA`. An input is one transition and no `await` falls inside it: what a machine asks comes
/// back as a further input.
actor IKEEngine {
    struct Due: Comparable {
        let at: Instant
        let id: UInt64
        static func < (left: Due, right: Due) -> Bool { left.at < right.at }
    }

    let shard: Int
    let shardCount: Int
    let environment: Environment
    var gateways: [IPAddress: GatewayRuntime]
    /// By session number, which outlives the SPIs.
    var entries: [UInt64: Entry] = [:]
    var owners: [IKESPI: UInt64] = [:]
    var initiations: [InitiationKey: UInt64] = [:]
    var due = Heap<Due>()
    var timer = DeadlineTimer()
    /// Something was put where the door finds it, which sleeps.
    var owesBell = false
    private(set) var counts: [String: UInt64] = [:]
    /// Error notifies to strangers.
    var errors = ErrorLimit(at: MonotonicClock.now)

    /// What an engine works with; all of it is shared and thread safe.
    struct Environment: Sendable {
        let mailbox: Mailbox<Admitted>
        let signals: AsyncStream<Void>
        let door: Door
        let datapath: Datapath
        let sessions: Sessions
        let log: EventLog
        let entropy: any Entropy
        let numbers: SessionNumbers
        let lockouts: Lockouts
        /// What fragments of all shards' clients may take up before authentication (threats.md P5).
        let reassembly: ReassemblyBudget
        let certificateThreads: CertificateThreads
        let aaa: AAA
    }

    init(shard: Int, of shardCount: Int, gateways: [IPAddress: GatewayRuntime], environment: Environment) {
        self.shard = shard
        self.shardCount = shardCount
        self.gateways = gateways
        self.environment = environment
    }

    /// Takes up what the door admits, until the stream of signals ends.
    func run() async {
        for await _ in environment.signals { drain() }
    }

    /// A reload. Logins under way end as they began, unless their gateway is gone: that, or one that is disabled, serves nobody, and its clients get
    /// a Delete. What stands takes its gateway's new settings up with the next rekey (configuration.md).
    func replaceGateways(_ gateways: [IPAddress: GatewayRuntime]) {
        self.gateways = gateways
        let now = MonotonicClock.now
        for entry in Array(entries.values) {
            if successor(of: entry.gateway) == nil {
                feed(.close(.configuration), to: entry.id, at: now)
            } else if entry.peer != nil, let profile = renew(entry) {
                feed(.profile(profile), to: entry.id, at: now)
            }
        }
    }

    /// A gateway's settings of now; its name is what it is known by.
    private func successor(of gateway: GatewayRuntime) -> GatewayRuntime? {
        gateways[gateway.address].flatMap { $0.name == gateway.name ? $0 : nil }
    }

    /// The entry has its gateway's settings of now; what its IKE SA must hear of them, if anything changed.
    func renew(_ entry: Entry) -> GatewayProfile? {
        guard let gateway = successor(of: entry.gateway) else { return nil }
        defer { entry.gateway = gateway }
        return gateway.profile == entry.gateway.profile ? nil : gateway.profile
    }

    func drain() {
        for admitted in environment.mailbox.drain() {
            // Of each: the time of those before it in the batch is nobody's but ours
            let now = MonotonicClock.now
            switch admitted {
            case .initiation(let datagram, let hasCookie, let lifetime):
                initiate(datagram, hasCookie: hasCookie, lifetime: lifetime, at: now)
                ringDoor()
            case .message(let spi, let datagram):
                if let id = owners[spi] { feed(.datagram(datagram), to: id, at: now) }
            }
        }
    }

    // MARK: The door

    /// Goes out, and is heard, once the transition is over: the door wakes for all of it once.
    func send(_ octets: [UInt8], from local: Endpoint, to remote: Endpoint) {
        environment.datapath.putIKE(octets, from: local, to: remote)
        owesBell = true
    }

    func tell(_ notice: DoorNotice) {
        environment.door.put(notice)
        owesBell = true
    }

    private func ringDoor() {
        guard owesBell else { return }
        owesBell = false
        environment.datapath.wakeDoor()
    }

    // MARK: Transitions

    func feed(_ input: Input, to id: UInt64) {
        feed(input, to: id, at: MonotonicClock.now)
    }

    func feed(_ input: Input, to id: UInt64, at now: Instant) {
        guard let entry = entries[id] else { return }
        var inputs = [input]
        while !inputs.isEmpty {
            var outputs: [Output] = []
            entry.sa.handle(inputs.removeFirst(), at: now, into: &outputs)
            let ends = entry.hasSession && outputs.contains { if case .ended = $0 { true } else { false } }
            var removes = false
            for output in outputs {
                // Child SAs of a session that ends go with its tunnel
                if ends, case .remove(let spi) = output, !entry.reserved.contains(spi) {
                    entry.children.removeAll { $0.sa.inboundSPI == spi }
                    continue
                }
                // Who hears that a Child SA is gone gives its half up: nothing may be sent by it after that
                if case .remove = output { removes = true }
                if removes, case .send(let datagram) = output {
                    then(entry) { await self.sendLate(datagram) }
                    continue
                }
                if let answer = perform(output, for: entry) { inputs.append(answer) }
            }
        }
        if entries[id] != nil { arm(entry, at: now) }
        ringDoor()
    }

    private func sendLate(_ datagram: IKEDatagram) {
        send(datagram.octets, from: datagram.local, to: datagram.remote)
        ringDoor()
    }

    func then(_ entry: Entry, _ work: @escaping @Sendable () async -> Void) {
        let before = entry.work
        entry.workNumber += 1
        let (id, number) = (entry.id, entry.workNumber)
        entry.work = Task {
            await before?.value
            await work()
            self.ended(number, of: id)
        }
    }

    /// A task that has ended keeps its memory as long as somebody has it.
    private func ended(_ work: Int, of id: UInt64) {
        guard let entry = entries[id], entry.workNumber == work else { return }
        entry.work = nil
    }

    // MARK: From outside

    /// Ends one SA; returns when its Delete is sent.
    func close(_ id: UInt64, _ reason: ClosingReason) {
        feed(.close(reason), to: id)
    }

    /// Ends every SA.
    func closeAll(_ reason: ClosingReason) {
        for id in Array(entries.keys) { feed(.close(reason), to: id) }
    }

    /// SAs that are not closed, and work that is under way.
    var remaining: Int { entries.count }

    /// Waits for what is done outside for every SA.
    func settleWork() async {
        for entry in Array(entries.values) { await entry.work?.value }
    }

    func count(_ name: String) {
        counts[name, default: 0] &+= 1
    }
}
