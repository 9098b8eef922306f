import Datapath
import ESP
import GatewayCrypto
import LinuxIO
import RoadWarrior
import Wire

/// One client whose packets our own datapath carries, through a TUN device.
///
///     door -> IKE messages -> here: RoadWarrior -> Child SAs and keys -> Datapath (install, retire)
///                                               -> IKE messages       -> door
///     TUN device <-> workers <-> UDP or ESP                              (never here)
///
/// What RoadWarrior would have seen of packets it is told: signs of life, what keeps a NAT open, the gateway's first packet on a new Child SA.
struct TunnelConnection: ~Copyable {
    private var warrior: RoadWarrior
    private let datapath: Datapath
    private let births: ChildBirths
    private let device: Connect.Device
    private let arrivals: AsyncStream<Arrival>
    private let sink: AsyncStream<Arrival>.Continuation
    private var outputs: [RoadWarrior.Output] = []
    private var ending = Ending()
    private var established: RoadWarrior.Established?
    private var tunnel: TunnelID?
    private var installed: Set<UInt32> = []
    private var isRaised = false
    private var losses = LostOffloads()
    /// Packets sent when last looked, and when that was.
    private var sent: UInt64 = 0
    private var looked = MonotonicClock.now

    /// Opens device and sockets.
    init(target: GatewayOptions.Target, _ wishes: Connect.Wishes, _ device: Connect.Device) throws {
        let own = try target.remote.address.ownAddressTowardIt()
        var listener = GatewayListener(address: own)
        listener.ikePort = 0
        listener.natTraversalPort = 0
        var interface = InterfaceSettings(name: device.name, addresses: [])
        interface.mtu = device.mtu
        var parts = Datapath.Settings(workers: device.workers, interfaces: [interface], gateways: [listener])
        parts.opensRawSockets = target.wantsNativeESP
        parts.ask(for: device.offloads)
        parts.tunnelsPerWorker = 4
        parts.childSAsPerWorker = 256
        // Who starts several of us on one machine says where each may run
        parts.pinsThreads = false
        let (arrivals, sink) = AsyncStream.makeStream(of: Arrival.self, bufferingPolicy: .bufferingNewest(1024))
        let datapath = try Datapath(parts, door: Messages(sink), entropy: SystemEntropy())
        let births = ChildBirths(datapath)

        let ports = datapath.gateways.first ?? listener
        var settings = target.settings(client: 0, local: Endpoint(own, port: ports.ikePort))
        settings.localNATPort = ports.natTraversalPort
        wishes.apply(to: &settings)
        settings.childSPI = { births.allocate() }
        settings.childKeyLog = { [log = settings.childKeyLog] keys in
            log?(keys)
            births.add(keys)
        }
        warrior = RoadWarrior(settings)
        self.arrivals = arrivals
        self.sink = sink
        self.datapath = datapath
        self.births = births
        self.device = device
    }

    mutating func run() async throws -> Ending.Outcome {
        for shortcoming in datapath.shortcomings { report("ipsec-load: \(shortcoming)") }
        try datapath.start()
        let ticks = Task { [sink] in
            while (try? await Task.sleep(for: .milliseconds(50))) != nil { sink.yield(.tick) }
        }
        let events = Task { [sink, datapath] in
            for await event in datapath.events { sink.yield(.event(event)) }
        }
        defer {
            ticks.cancel()
            events.cancel()
            datapath.stop()
        }
        warrior.start(at: MonotonicClock.now, into: &outputs)
        try await perform()
        for await arrival in arrivals {
            take(arrival)
            try await perform()
            if let outcome = ending.outcome { return outcome }
        }
        return Ending.Outcome(failure: "the datapath stopped")
    }

    private mutating func take(_ arrival: Arrival) {
        let now = MonotonicClock.now
        switch arrival {
        case .message(let octets, let remote): warrior.receive(message: octets, from: remote, at: now, into: &outputs)
        case .event(.softLimit(let spi)), .event(.hardLimit(let spi)):
            if warrior.childSA?.inboundSPI == spi.rawValue { warrior.rekeyChild(at: now, into: &outputs) }
        case .event(.failed(_, let reason)): leave(because: reason, at: now)
        case .event(.offloadLost(_, let loss)): if let line = losses.line(loss) { report(line) }
        case .event(.moved): break
        case .tick:
            if StopSignal.isRaised, !ending.isStopping {
                ending.stop()
                warrior.close(at: now, into: &outputs)
            }
            if now - looked >= .seconds(1) { look(at: now) }
            if let deadline = warrior.nextDeadline, deadline <= now {
                look(at: now)
                warrior.handleDeadlines(at: now, into: &outputs)
            }
        }
    }

    private mutating func leave(because cause: String, at now: Instant) {
        if ending.stop(because: cause) { warrior.close(at: now, into: &outputs) }
    }

    /// Tells RoadWarrior what has become of packets.
    private mutating func look(at now: Instant) {
        guard let tunnel, let counters = datapath.counters(tunnel: tunnel) else { return }
        if let last = counters.lastInbound { warrior.heard(at: last) }
        if counters.packetsOut != sent { warrior.sent(at: looked) }
        for spi in installed {
            guard let local = LocalSPI(rawValue: spi), let status = datapath.status(child: local), status.highestInbound > 0 else { continue }
            warrior.heard(onChild: spi, at: now)
        }
        sent = counters.packetsOut
        looked = now
    }

    // MARK: What RoadWarrior wants

    private mutating func perform() async throws {
        while !outputs.isEmpty {
            // Before the gateway can hear of a Child SA it must be served: its packets may come with the next answer
            try await install()
            let all = outputs
            outputs.removeAll(keepingCapacity: true)
            for output in all { try perform(output) }
        }
        await retire()
    }

    private mutating func perform(_ output: RoadWarrior.Output) throws {
        switch output {
        case .send(let datagram) where datagram.content == .keepalive: datapath.sendKeepalive(from: datagram.local, to: datagram.remote)
        case .send(let datagram): datapath.sendIKE(datagram.octets, from: datagram.local, to: datagram.remote)
        case .established(let facts): established = facts
        // After CHILD_SA_NOT_FOUND there is another one, and the device stays
        case .childEstablished: if !isRaised { try raise() }
        case .closed(let closure): ending.conclude(closure)
        case .refused, .childRekeyed, .ikeRekeyed, .childClosed, .delivered, .response: break
        }
        if let line = output.line { say(line) }
        if let objection = output.objection(in: warrior) { leave(because: objection, at: MonotonicClock.now) }
    }

    /// Hands new Child SAs to the datapath, the tunnel before the first.
    private mutating func install() async throws {
        for keys in births.takeAll() {
            let facts = keys.facts
            guard let inbound = LocalSPI(rawValue: facts.inboundSPI), let tunnel = open() else {
                throw DatapathError.noSuchSPI
            }
            var lifetimes = SALifetimes()
            if let packets = warrior.settings.childRekeyPackets { lifetimes.softPackets = packets }
            // One that the gateway made carries our packets from the gateway's first one on, one that we made at once (RFC 7296 section 2.8)
            let current = warrior.childSA.flatMap { $0.inboundSPI == facts.inboundSPI ? nil : LocalSPI(rawValue: $0.inboundSPI) }
            try await datapath.install(
                ChildSASpec(
                    tunnel: tunnel, inbound: inbound, outbound: facts.outboundSPI,
                    suite: ESPSuite(protection: facts.protection, extendedSequenceNumbers: facts.extendedSequenceNumbers),
                    keys: ChildSAKeys(keys), selectors: Selectors(facts), lifetimes: lifetimes, supersedes: current))
            births.settle(facts.inboundSPI)
            installed.insert(facts.inboundSPI)
        }
    }

    /// The one tunnel: everything that comes out of the device goes into it, as far as the selectors of a Child SA let it.
    private mutating func open() -> TunnelID? {
        if let tunnel { return tunnel }
        var settings = TunnelSettings()
        settings.ipMTU = device.mtu
        settings.propagatesPathMTU = false
        // The device's MTU says it
        settings.maximumSegmentIPv4 = 0
        settings.maximumSegmentIPv6 = 0
        settings.followsPeer = false
        let way = warrior.path
        var spec = TunnelSpec(
            worker: births.worker, interface: device.name, innerAddresses: [], settings: settings,
            peer: warrior.encapsulated ? way.remote : Endpoint(way.remote.address, port: 0),
            local: warrior.encapsulated ? way.local : Endpoint(way.local.address, port: 0))
        spec.innerPrefixes = AddressFamily.allCases.compactMap { IPPrefix(IPAddress(family: $0, value: 0), length: 0) }
        tunnel = datapath.open(tunnel: spec)
        return tunnel
    }

    /// Takes out what RoadWarrior has done with.
    private mutating func retire() async {
        let living = warrior.childSPIs
        for spi in installed.subtracting(living) {
            if let local = LocalSPI(rawValue: spi) { _ = await datapath.retire(child: local) }
            installed.remove(spi)
        }
        births.release(allBut: living)
    }

    /// The Child SA stands: the device gets its address and its routes. They go with the device, and it with this process.
    private mutating func raise() throws {
        let inner = established?.innerAddresses ?? []
        try TUNDevice.furnish(device.name, addresses: inner.map { ($0, $0.family.bits) }, routes: device.routes)
        isRaised = true
        say("connected inner=\(innerAddresses(established)) tun=\(device.name)")
    }
}

extension Selectors {
    /// The selectors of a Child SA of ours, as the datapath enforces them.
    fileprivate init(_ child: RoadWarrior.ChildEstablished) {
        self.init(local: child.localSelectors.map(Entry.init), remote: child.remoteSelectors.map(Entry.init))
    }
}

extension ChildSAKeys {
    fileprivate init(_ keys: RoadWarrior.ChildKeys) {
        self.init(
            inboundEncryption: SecretOctets(copying: keys.inboundEncryption), inboundIntegrity: SecretOctets(copying: keys.inboundIntegrity),
            outboundEncryption: SecretOctets(copying: keys.outboundEncryption), outboundIntegrity: SecretOctets(copying: keys.outboundIntegrity))
    }
}
