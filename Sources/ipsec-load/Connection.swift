import IKEMessages
import LinuxIO
import RoadWarrior
import Wire

/// One client with its socket and, if wanted, its TUN device: a plain poll loop on the calling thread.
struct Connection: ~Copyable {
    /// How a connection ended; a failure is what makes the exit status 1.
    struct End {
        let failure: String?
    }

    private enum Token { static let socket: UInt64 = 1, device: UInt64 = 2, esp: UInt64 = 3 }

    private var warrior: RoadWarrior
    private var socket: ClientSocket
    private var poller: Poller
    private var device: TUNPort?
    private let deviceName: String?
    private let routes: [IPPrefix]
    private let mtu: Int
    private var incoming = Batch(capacity: 64, room: 10_240)
    private var outgoing = Batch(capacity: 64, room: 9216)
    private var end: End?
    private var isStopping = false
    private var established: RoadWarrior.Established?

    init(
        target: GatewayOptions.Target, device: String?, routes: [IPPrefix], mtu: Int, liveness: Int, initialContact: Bool,
        keyLog: RoadWarrior.ChildKeyLog?
    ) throws(SystemError) {
        let socket = try target.socket(packetsPerCall: 64, buffer: 4 << 20, carriesESP: true)
        var settings = target.settings(client: 0, local: socket.port.local)
        settings.liveness = liveness > 0 ? .seconds(liveness) : nil
        settings.initialContact = initialContact
        settings.childKeyLog = keyLog
        let poller = try Poller()
        try poller.add(socket.port.descriptor, token: Token.socket)
        if let descriptor = socket.esp?.descriptor { try poller.add(descriptor, token: Token.esp) }
        warrior = RoadWarrior(settings)
        self.socket = socket
        self.poller = poller
        deviceName = device
        self.routes = routes
        self.mtu = mtu
    }

    mutating func run() throws(SystemError) -> End {
        var outputs: [RoadWarrior.Output] = []
        warrior.start(at: MonotonicClock.now, into: &outputs)
        try perform(&outputs)
        while true {
            if let end { return end }
            // A signal just before the wait would not end it, so no wait is long.
            let glance = MonotonicClock.now + .milliseconds(200)
            _ = try poller.wait(until: min(warrior.nextDeadline ?? glance, glance))
            if StopSignal.isRaised, !isStopping {
                isStopping = true
                warrior.close(at: MonotonicClock.now, into: &outputs)
                try perform(&outputs)
            }
            for index in 0..<poller.count {
                switch poller[index].token {
                case Token.socket: try readSocket(&outputs)
                case Token.esp: try readESP(&outputs)
                default: try readDevice()
                }
            }
            let now = MonotonicClock.now
            if let deadline = warrior.nextDeadline, deadline <= now {
                warrior.handleDeadlines(at: now, into: &outputs)
                try perform(&outputs)
            }
        }
    }

    private mutating func readSocket(_ outputs: inout [RoadWarrior.Output]) throws(SystemError) {
        while end == nil, try socket.port.receive(into: &incoming) > 0 {
            let now = MonotonicClock.now
            for index in 0..<incoming.count {
                let octets = unsafe [UInt8](incoming.octets(index))
                warrior.receive(octets, from: incoming[index].peer, at: now, into: &outputs)
            }
            try perform(&outputs)
        }
    }

    private mutating func readESP(_ outputs: inout [RoadWarrior.Output]) throws(SystemError) {
        var count = 0
        while end == nil, count < 64, let packet = socket.esp?.receive() {
            warrior.receive(packet: packet, from: warrior.settings.remote.address, at: MonotonicClock.now, into: &outputs)
            count += 1
        }
        try perform(&outputs)
    }

    /// Packets from the device go into the tunnel.
    private mutating func readDevice() throws(SystemError) {
        let now = MonotonicClock.now
        guard try device?.receive(into: &incoming) ?? 0 > 0 else { return }
        outgoing.removeAll()
        for index in 0..<incoming.count {
            let packet = unsafe [UInt8](incoming.octets(index))
            guard let datagram = warrior.seal(packet, at: now) else { continue }
            if datagram.isNativeESP {
                socket.send(datagram)
                continue
            }
            let payload = datagram.payload
            _ = unsafe payload.withUnsafeBytes { octets in
                unsafe outgoing.append(copying: octets, to: datagram.remote, from: socket.port.local)
            }
        }
        // What the socket has no room for is lost, as on a full line.
        _ = try socket.port.send(outgoing, from: 0)
    }

    private mutating func perform(_ outputs: inout [RoadWarrior.Output]) throws(SystemError) {
        let now = MonotonicClock.now
        outgoing.removeAll()
        var refused: String?
        for output in outputs {
            switch output {
            case .send(let datagram): socket.send(datagram)
            case .established(let facts): established = facts
            case .childEstablished:
                // After CHILD_SA_NOT_FOUND there is another one, and the device stays.
                if device == nil { try raise() }
            case .delivered(let packet): try deliver(packet)
            case .refused(let refusal):
                if warrior.stage == .established, warrior.childSA == nil {
                    refused = "refused: the gateway gave no Child SA: \(refusal.notify.type)"
                }
            case .childRekeyed(_, let facts, let byUs):
                say("rekeyed child by=\(byUs ? "us" : "gateway") in=\(hexadecimal(facts.inboundSPI)) out=\(hexadecimal(facts.outboundSPI))")
            case .ikeRekeyed(_, _, let byUs): say("rekeyed ike by=\(byUs ? "us" : "gateway")")
            case .childClosed: refused = "the gateway deleted the Child SA"
            case .response: break
            case .closed(let closure): conclude(closure)
            }
        }
        outputs.removeAll(keepingCapacity: true)
        if outgoing.count > 0 { _ = try device?.send(outgoing, from: 0) }
        if let refused, end == nil, !isStopping {
            // The IKE SA without a Child SA is of no use to us.
            isStopping = true
            failure = refused
            warrior.close(at: now, into: &outputs)
            try perform(&outputs)
        }
    }

    private var failure: String?

    private mutating func conclude(_ closure: RoadWarrior.Closure) {
        if let failure {
            end = End(failure: failure)
        } else if isStopping {
            end = End(failure: nil)
        } else if case .refused = closure {
            end = End(failure: "refused: \(closure)")
        } else {
            end = End(failure: "\(closure)")
        }
    }

    /// Packets out of the tunnel go to the device, many at a time.
    private mutating func deliver(_ packet: [UInt8]) throws(SystemError) {
        guard device != nil else { return }
        if outgoing.isFull {
            _ = try device?.send(outgoing, from: 0)
            outgoing.removeAll()
        }
        _ = unsafe packet.withUnsafeBytes { octets in
            unsafe outgoing.append(copying: octets, to: socket.port.local, from: socket.port.local)
        }
    }

    /// The Child SA stands: the device gets its address and its routes. They go with the device, and it with this process.
    private mutating func raise() throws(SystemError) {
        let inner = established?.innerAddresses ?? []
        if let name = deviceName {
            var made = try TUNDevice(name, queues: 1)
            var wanted = TUNConfiguration()
            wanted.mtu = mtu
            wanted.addresses = inner.map { ($0, $0.family.bits) }
            wanted.routes = routes
            _ = try made.configure(wanted)
            device = made.take(queue: 0)
            if let descriptor = device?.descriptor { try poller.add(descriptor, token: Token.device) }
        }
        let addresses = inner.map(\.description).joined(separator: ",")
        say("connected inner=\(addresses.isEmpty ? "-" : addresses) tun=\(deviceName ?? "-")")
    }
}

private func hexadecimal(_ spi: UInt32) -> String {
    let digits = String(spi, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
}
