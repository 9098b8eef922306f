internal import ESP
internal import GatewayCrypto
internal import LinuxIO
internal import Wire

extension Datapath {
    struct Built {
        var door: Handover<DoorThread>
        var workers: [Handover<WorkerThread>]
        /// With the ports that the kernel chose.
        var gateways: [GatewayListener]
        /// What the kernel lacks and costs speed, one sentence each.
        var shortcomings: [String]
    }

    /// Opens sockets and devices in the order that the kernel's numbering asks for, and puts the threads' parts together.
    static func build(
        _ settings: Settings, _ control: Control, _ outbox: Outbox, _ doorBoard: CounterBoard, _ receiver: any DoorReceiver, _ bells: [Bell],
        _ pollers: [Handover<Poller>], entropy: any Entropy
    ) throws(SystemError) -> Built {
        let opened = try openSockets(settings)
        let inner = try openDevices(settings)
        let rings = RingMemory(workers: settings.workers, ringSize: settings.ringSize)
        let sources = settings.interfaces.map { interface in
            (
                ipv4: interface.addresses.first { $0.address.family == .ipv4 }?.address.value ?? 0,
                ipv6: interface.addresses.first { $0.address.family == .ipv6 }?.address.value ?? 0
            )
        }
        var workers: [Handover<WorkerThread>] = []
        for index in 0..<settings.workers {
            guard let ports = opened.outer[index].take(), let queues = inner.rows[index].take(), let poller = pollers[index].take() else { continue }
            let worker = control.worker(
                index, outer: ports, ports: opened.workerPorts, inner: queues, sources: sources, rings: rings, batchSize: settings.batchSize)
            workers.append(Handover(try WorkerThread(worker, poller, bells[index], busyPoll: BusyPoll(longest: settings.busyPoll))))
        }
        guard let doorRow = opened.door.take(), let poller = pollers[settings.workers].take() else {
            throw SystemError(0, call: "Poller", subject: "door")
        }
        let door = Door(
            ports: doorRow, outer: opened.doorPorts, marked: opened.marked, encapsulatedMTUs: opened.encapsulatedMTUs,
            identification: entropy.octets(4).reduce(0) { $0 << 8 | UInt32($1) }, receiver: receiver, control: control, outbox: outbox,
            board: doorBoard, rings: rings, batchSize: settings.batchSize)
        return Built(
            door: Handover(try DoorThread(door, poller, bells[settings.workers])), workers: workers, gateways: opened.gateways,
            shortcomings: opened.shortcomings + inner.shortcomings)
    }

    /// The sockets of all threads, and which is which.
    private struct Opened {
        var door: Handover<PortRow<DatagramPort>>
        var doorPorts: OuterPorts
        var marked: [Bool]
        var encapsulatedMTUs: [Int]
        var outer: [Handover<PortRow<DatagramPort>>]
        var workerPorts: OuterPorts
        var gateways: [GatewayListener]
        var shortcomings: [String]
    }

    private static func openSockets(_ settings: Settings) throws(SystemError) -> Opened {
        var options = UDPOptions()
        options.coalesces = settings.joinsDatagrams
        options.segments = settings.joinsDatagrams
        options.receivesTrafficClass = true
        options.receivesFragmentSize = !settings.reassembles
        var workerOptions = options
        // We learn the path's MTU ourselves and cut to it: what the kernel believes, a stranger may have told it (threats.md P33)
        if settings.opensRawSockets { workerOptions.pathMTU = .omit }
        var door = PortRow<DatagramPort>(capacity: settings.gateways.count * 3 + 2)
        var doorPorts = OuterPorts(locals: [])
        var workerPorts = OuterPorts(locals: [])
        var marked: [Bool] = []
        var encapsulatedMTUs: [Int] = []
        var gateways = settings.gateways
        var shortcomings: [String] = []
        var outer: [Handover<PortRow<DatagramPort>>] = []
        for _ in 0..<settings.workers { outer.append(Handover(PortRow<DatagramPort>(capacity: settings.gateways.count * 2 + 2))) }

        for (number, gateway) in settings.gateways.enumerated() {
            for port in [gateway.ikePort, gateway.natTraversalPort] {
                let local = Endpoint(gateway.address, port: port)
                if let holder = try PortProbe.holder(of: local) { throw PortProbe.error(local, heldBy: holder) }
            }
            let ikePort = try UDPPort(Endpoint(gateway.address, port: gateway.ikePort), options: options)
            let ike = ikePort.local
            _ = door.append(ikePort.datagramPort())
            var group = try SteeredPorts(
                Endpoint(gateway.address, port: gateway.natTraversalPort), workers: settings.workers, options: workerOptions, door: options)
            let natTraversal = group.local
            (gateways[number].ikePort, gateways[number].natTraversalPort) = (ike.port, natTraversal.port)
            if let port = group.takeDoor() { _ = door.append(port.datagramPort()) }
            doorPorts.locals += [ike, natTraversal]
            marked += [false, true]
            encapsulatedMTUs += [gateway.encapsulatedMTU ?? 0, gateway.encapsulatedMTU ?? 0]
            for worker in 0..<settings.workers {
                guard let port = group.takeWorker(worker) else { continue }
                if shortcomings.isEmpty, settings.joinsDatagrams {
                    if !port.offloads.contains(.udp) {
                        shortcomings.append("no UDP segmentation offload (UDP_SEGMENT, Linux 4.18): each ESP packet is sent on its own")
                    }
                    if !port.joins {
                        shortcomings.append("no UDP receive offload (UDP_GRO, Linux 5.0): each ESP packet is received on its own")
                    }
                }
                append(port.datagramPort(), to: &outer[worker])
            }
            workerPorts.locals.append(natTraversal)
        }
        if settings.opensRawSockets {
            doorPorts.firstReport = doorPorts.locals.count
            for gateway in settings.gateways {
                _ = door.append(try DatagramPort.pathMTUReports(gateway.address))
                doorPorts.locals.append(Endpoint(gateway.address, port: 0))
                marked.append(false)
                for worker in 0..<settings.workers {
                    append(try DatagramPort.esp(gateway.address, taking: settings.espShare(worker), options: workerOptions), to: &outer[worker])
                }
                workerPorts.locals.append(Endpoint(gateway.address, port: 0))
            }
            for family in AddressFamily.allCases where settings.gateways.contains(where: { $0.address.family == family }) {
                let (inDoor, inWorkers) = (door.count, workerPorts.locals.count + (workerPorts.wholeIPv4 == nil ? 0 : 1))
                _ = door.append(try DatagramPort.wholePackets(family, options: workerOptions))
                for worker in 0..<settings.workers { append(try DatagramPort.wholePackets(family, options: workerOptions), to: &outer[worker]) }
                switch family {
                case .ipv4: (doorPorts.wholeIPv4, workerPorts.wholeIPv4) = (inDoor, inWorkers)
                case .ipv6: (doorPorts.wholeIPv6, workerPorts.wholeIPv6) = (inDoor, inWorkers)
                }
            }
        }
        workerPorts.largestProbe = try linkMTU(settings.gateways)
        doorPorts.reassembles = settings.reassembles
        workerPorts.reassembles = settings.reassembles
        workerPorts.reservesListenerPorts = settings.reservesListenerPorts
        return Opened(
            door: Handover(door), doorPorts: doorPorts, marked: marked, encapsulatedMTUs: encapsulatedMTUs, outer: outer, workerPorts: workerPorts,
            gateways: gateways, shortcomings: shortcomings)
    }

    /// What the links of the gateways' addresses take, the narrowest of them.
    private static func linkMTU(_ gateways: [GatewayListener]) throws(SystemError) -> Int {
        var netlink = try Netlink()
        let owners = Set(try netlink.addresses().filter { found in gateways.contains { $0.address == found.address } }.map(\.interface))
        return try netlink.links().filter { owners.contains($0.index) }.map(\.mtu).min() ?? 1500
    }

    private static func append(_ port: consuming DatagramPort, to row: inout Handover<PortRow<DatagramPort>>) {
        guard var ports = row.take() else { return }
        _ = ports.append(port)
        row = Handover(ports)
    }

    /// One device per private interface, one queue per worker: all opened with the same flags, moved, addressed and routed (architecture.md).
    private static func openDevices(
        _ settings: Settings
    ) throws(SystemError) -> (
        rows: [Handover<PortRow<TUNPort>>], shortcomings: [String]
    ) {
        var shortcomings: [String] = []
        var rows: [Handover<PortRow<TUNPort>>] = []
        for _ in 0..<settings.workers { rows.append(Handover(PortRow<TUNPort>(capacity: settings.interfaces.count))) }
        for interface in settings.interfaces {
            var device = try TUNDevice(interface.name, queues: settings.workers, offloads: settings.offloads)
            let lacking = settings.offloads.subtracting(device.offloads)
            if lacking.contains(.tcp) {
                shortcomings.append("TUN device \(interface.name) has no segmentation offload: each packet is read and written on its own")
            } else if lacking.contains(.udp) {
                shortcomings.append("TUN device \(interface.name) has no UDP segmentation offload (Linux 6.2): each datagram is written on its own")
            }
            var configuration = TUNConfiguration()
            configuration.mtu = interface.mtu
            configuration.addresses = interface.addresses.map { ($0.address, $0.prefixLength) }
            configuration.routes = interface.routes
            configuration.namespace = interface.networkNamespace
            _ = try device.configure(configuration)
            for worker in 0..<settings.workers {
                guard var row = rows[worker].take() else { continue }
                if let queue = device.take(queue: worker) { _ = row.append(queue) }
                rows[worker] = Handover(row)
            }
        }
        return (rows, shortcomings)
    }
}
