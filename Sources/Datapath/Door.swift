package import ESP
package import LinuxIO
internal import Synchronization
package import Wire

/// What other threads want sent by the door.
package final class Outbox: Sendable {
    package struct Message: Sendable {
        package let octets: [UInt8]
        package let local: Endpoint
        package let remote: Endpoint
        /// Goes out as it is: no non-ESP marker, whatever the port.
        package let isBare: Bool

        package init(octets: [UInt8], local: Endpoint, remote: Endpoint, isBare: Bool = false) {
            self.octets = octets
            self.local = local
            self.remote = remote
            self.isBare = isBare
        }
    }

    private let messages = Mutex<[Message]>([])
    private let isWanted = Atomic<Bool>(false)
    /// Messages that may wait: a door that does not run must not fill the memory.
    package static let capacity = 65_536

    package init() {}

    /// False when too many wait.
    package func put(_ message: Message) -> Bool {
        messages.withLock { messages in
            guard messages.count < Self.capacity else { return false }
            messages.append(message)
            return true
        }
    }

    package func takeAll() -> [Message] {
        messages.withLock { messages in
            defer { messages = [] }
            return messages
        }
    }

    package var isEmpty: Bool { messages.withLock { $0.isEmpty } }

    package func want() { isWanted.store(true, ordering: .releasing) }
    package func takeWant() -> Bool { isWanted.exchange(false, ordering: .acquiringAndReleasing) }
    package var isWoken: Bool { isWanted.load(ordering: .acquiring) }
}

/// The door: IKE datagrams of all gateways, and the workers' reports. Belongs to one thread; `pass` may be called by hand in tests.
package struct Door<Port: PacketPort & ~Copyable>: ~Copyable {
    private var ports: PortRow<Port>
    private let outer: OuterPorts
    private let marked: [Bool]
    private let encapsulatedMTUs: [Int]
    private let receiver: any DoorReceiver
    private let control: Control
    private let outbox: Outbox
    private let board: CounterBoard
    private let rings: [PacketRing]
    private let incoming: [PacketRing]
    // Workers end before the door does, and the rings are not theirs alone
    private let memory: RingMemory
    private var received: Batch
    private var answers: Batch
    private var pieces: Batch
    private var identification: UInt32
    private var broken: UInt64 = 0

    /// `marked`: on which ports IKE messages carry the non-ESP marker (RFC 3948 section 2.2); `encapsulatedMTUs`: the largest outer packet of each,
    /// 0: the outer path's (features.md DP-5). `identification` begins the numbers of fragments.
    package init(
        ports: consuming PortRow<Port>, outer: OuterPorts, marked: [Bool], encapsulatedMTUs: [Int] = [], identification: UInt32 = 0,
        receiver: any DoorReceiver, control: Control, outbox: Outbox,
        board: CounterBoard, rings: RingMemory, batchSize: Int
    ) {
        self.ports = ports
        self.outer = outer
        self.marked = marked
        self.encapsulatedMTUs = outer.locals.indices.map { $0 < encapsulatedMTUs.count ? encapsulatedMTUs[$0] : 0 }
        self.identification = identification
        self.receiver = receiver
        self.control = control
        self.outbox = outbox
        self.board = board
        self.rings = (0..<rings.workers).map { rings.outer(from: rings.workers, to: $0) }
        incoming = (0..<rings.workers).map { rings.outer(from: $0, to: rings.workers) }
        memory = rings
        received = Batch(capacity: batchSize, room: 65_535)
        answers = Batch(capacity: batchSize, room: 65_535)
        pieces = Batch(capacity: 256, room: 9_216)
    }

    /// One pass over the ports named by `ready` (bit i: port i), the rings, the reports and the outbox. `hasMore`: ports whose batch was full.
    /// `isWaiting`: somebody waits for a grace period, so look again soon.
    package mutating func pass(_ ready: UInt64 = .max, now: Instant) -> (hasMore: UInt64, isWaiting: Bool) {
        var more: UInt64 = 0
        let isWaiting = control.service()
        if outbox.takeWant() { receiver.woken(at: now) }
        for message in outbox.takeAll() { send(message) }
        flush()
        var heard = false
        for ring in incoming where !ring.isEmpty {
            received.removeAll()
            for _ in 0..<ring.drain(into: &received) { board.count(.noRoom) }
            hear(isRelayed: true, now)
            heard = true
        }
        for port in 0..<receiving where ready & ~broken & (1 << UInt64(port)) != 0 {
            do throws(SystemError) {
                let count = try ports.receive(port, into: &received)
                if count > 0 {
                    hear(isRelayed: false, now)
                    heard = true
                }
                if count == received.capacity || received.leavesMore { more |= 1 << UInt64(port) }
            } catch {
                fail(1 << UInt64(port), error)
            }
        }
        if heard {
            receiver.drained(at: now)
            flush()
        }
        return (more, isWaiting)
    }

    package var hasWork: Bool {
        // A grace period that began after this pass's `service` rang a bell that nobody heard: look for it before waiting
        !outbox.isEmpty || outbox.isWoken || incoming.contains { !$0.isEmpty } || control.mailboxes.contains { !$0.reports.isEmpty }
            || control.hasGracePeriods
    }

    /// What a poller waits on, with the ports' bits.
    package var descriptors: [(bit: Int, descriptor: Int32)] {
        (0..<receiving).map { (bit: $0, descriptor: ports.descriptor($0)) }
    }

    /// Ports that failed, as bits.
    package var brokenPorts: UInt64 { broken }

    private var receiving: Int { min(outer.locals.count, ports.count) }

    /// Takes a batch apart: a read may join datagrams of several kinds (architecture.md), so each segment is looked at.
    private mutating func hear(isRelayed: Bool, _ now: Instant) {
        for index in 0..<received.count {
            let entry = received[index]
            guard entry.length > 0, let port = outer.locals.firstIndex(of: entry.local) else { continue }
            let whole = unsafe PacketView(received.octets(index))
            if let first = outer.firstReport, port >= first {
                hear(report: whole, isIPv6: entry.local.address.isIPv6)
                continue
            }
            let step = entry.segmentSize > 0 ? entry.segmentSize : entry.length
            for offset in stride(from: 0, to: entry.length, by: step) {
                hear(whole.part(offset, min(step, entry.length - offset)), entry, port, isRelayed: isRelayed, now)
            }
        }
    }

    private mutating func hear(_ datagram: PacketView, _ entry: Batch.Entry, _ port: Int, isRelayed: Bool, _ now: Instant) {
        guard marked[port] else { return give(datagram, entry, port, now) }
        if datagram.count == 1, datagram.u8(0) == 0xff { return board.count(.keepalive) }
        guard datagram.count >= 4 else { return board.count(.notESP) }
        let word = datagram.u32(0)
        if word == 0 { return give(datagram.part(4, datagram.count - 4), entry, port, now) }
        let worker = Int(word & 0x3f)
        guard datagram.count >= 8, !isRelayed, rings.indices.contains(worker) else { return board.count(.unknownSPI) }
        guard outer.reassembles || !entry.wasFragmented else { return board.count(.outerFragment) }
        if rings[worker].push(datagram, tag: UInt64(entry.trafficClass), peer: entry.peer, local: entry.local) {
            control.mailboxes[worker].bell.ring()
        } else {
            board.count(.ringFull)
        }
    }

    /// A router says that one of our packets was too big for it (threats.md P33).
    private func hear(report message: PacketView, isIPv6: Bool) {
        guard let report = PathMTUReport(message, isIPv6: isIPv6), control.heed(report) else { return board.count(.unprovenTooBig) }
    }

    private mutating func give(_ message: PacketView, _ entry: Batch.Entry, _ port: Int, _ now: Instant) {
        let receiver = receiver
        unsafe receiver.receive(message.readOnly, from: entry.peer, to: entry.local, at: now) { answer in
            if answers.isFull { flush() }
            unsafe append(answer, from: entry.local, to: entry.peer, isMarked: marked[port], port)
        }
    }

    private mutating func send(_ message: Outbox.Message) {
        guard let port = outer.locals.firstIndex(of: message.local) else { return board.count(.sendFailed) }
        if answers.isFull { flush() }
        unsafe message.octets.withUnsafeBytes { octets in
            unsafe append(octets, from: message.local, to: message.remote, isMarked: marked[port] && !message.isBare, port)
        }
    }

    private mutating func append(_ octets: UnsafeRawBufferPointer, from local: Endpoint, to remote: Endpoint, isMarked: Bool, _ port: Int) {
        let prefix = isMarked ? 4 : 0
        guard octets.count <= 65_507 - prefix, let place = answers.append(length: octets.count + prefix) else {
            return board.count(.noRoom)
        }
        let target = unsafe answers.octets(place)
        unsafe target.prefix(prefix).withMemoryRebound(to: UInt8.self) { unsafe $0.update(repeating: 0) }
        unsafe UnsafeMutableRawBufferPointer(rebasing: target[prefix...]).copyMemory(from: octets)
        answers[place].peer = remote
        answers[place].local = local
        answers[place].tag = UInt64(port)
    }

    private mutating func flush() {
        for index in 0..<answers.count where answers[index].length > 0 { cut(index) }
        do throws(SystemError) {
            try ports.distribute(&answers, sent: { _ in }, lost: { _ in board.count(.sendFailed) })
            try ports.distribute(&pieces, sent: { _ in }, lost: { _ in board.count(.sendFailed) })
        } catch {
            answers.removeAll()
            pieces.removeAll()
            fail(.max, error)
        }
    }

    /// Cuts a message that is longer than its outer packet may be (features.md DP-5); its entry is empty afterwards.
    private mutating func cut(_ index: Int) {
        let entry = answers[index]
        let port = Int(truncatingIfNeeded: entry.tag & 0xff)
        let family = entry.peer.address.family
        guard let whole = outer.whole(family), encapsulatedMTUs.indices.contains(port),
            let cut = OuterFragmentation(payload: entry.length + 8, isIPv6: family == .ipv6, mtu: encapsulatedMTUs[port])
        else { return }
        guard cut.count <= pieces.capacity - pieces.count else { return board.count(.noRoom) }
        let datagram = unsafe PacketView(answers.slot(index)).part(entry.start - 8, entry.length + 8)
        OuterFragmentation.writeUDPHeader(datagram, from: entry.local, to: entry.peer)
        identification &+= 1
        let header = OuterHeader(
            source: entry.local.address, destination: entry.peer.address, ipProtocol: 17, trafficClass: entry.trafficClass,
            identification: identification)
        for number in 0..<cut.count {
            guard let place = pieces.append(length: pieces.room) else { break }
            let size = cut.write(number, of: datagram, header, to: unsafe PacketView(pieces.octets(place)))
            _ = pieces.place(place, start: pieces[place].start, length: size)
            pieces[place].peer = entry.peer
            pieces[place].tag = UInt64(whole)
        }
        _ = answers.place(index, start: entry.start, length: 0)
    }

    private mutating func fail(_ port: UInt64, _ error: SystemError) {
        broken |= port
        control.report(.failed(worker: nil, "\(error)"))
    }
}
