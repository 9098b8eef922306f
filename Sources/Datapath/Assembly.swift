internal import ESP
internal import LinuxIO
internal import Wire

extension Datapath {
    struct Built {
        var door: Handover<DoorThread>
        var workers: [Handover<WorkerThread>]
    }

    /// Opens sockets and devices in the order that the kernel's numbering asks for, and puts the threads' parts together.
    static func build(
        _ settings: Settings, _ control: Control, _ outbox: Outbox, _ doorBoard: CounterBoard, _ receiver: any DoorReceiver, _ bells: [Bell],
        _ pollers: [Handover<Poller>]
    ) throws(SystemError) -> Built {
        var options = UDPOptions()
        options.coalesces = true
        var doorPorts = PortRow<UDPPort>(capacity: settings.gateways.count * 2)
        var doorLocals: [Endpoint] = []
        var doorMarked: [Bool] = []
        var gateways: [Endpoint] = []
        var outer: [Handover<PortRow<UDPPort>>] = []
        for _ in 0..<settings.workers { outer.append(Handover(PortRow<UDPPort>(capacity: settings.gateways.count))) }

        for gateway in settings.gateways {
            let ike = Endpoint(gateway.address, port: gateway.ikePort)
            let natTraversal = Endpoint(gateway.address, port: gateway.natTraversalPort)
            for local in [ike, natTraversal] {
                if let holder = try PortProbe.holder(of: local) { throw PortProbe.error(local, heldBy: holder) }
            }
            _ = doorPorts.append(try UDPPort(ike, options: options))
            doorLocals.append(ike)
            doorMarked.append(false)
            var group = try SteeredPorts(natTraversal, workers: settings.workers, options: options)
            if let port = group.takeDoor() { _ = doorPorts.append(port) }
            doorLocals.append(natTraversal)
            doorMarked.append(true)
            for worker in 0..<settings.workers {
                guard var row = outer[worker].take() else { continue }
                if let port = group.takeWorker(worker) { _ = row.append(port) }
                outer[worker] = Handover(row)
            }
            gateways.append(natTraversal)
        }

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
            guard let ports = outer[index].take(), let queues = inner[index].take(), let poller = pollers[index].take() else { continue }
            let worker = control.worker(
                index, outer: ports, inner: queues, gateways: gateways, sources: sources, rings: rings, batchSize: settings.batchSize)
            workers.append(Handover(try WorkerThread(worker, poller, bells[index])))
        }
        let door = Door(
            ports: doorPorts, locals: doorLocals, marked: doorMarked, receiver: receiver, control: control, outbox: outbox, board: doorBoard,
            rings: rings, batchSize: settings.batchSize)
        guard let poller = pollers[settings.workers].take() else { throw SystemError(0, call: "Poller", subject: "door") }
        return Built(door: Handover(try DoorThread(door, poller, bells[settings.workers])), workers: workers)
    }

    /// One device per private interface, one queue per worker: all opened with the same flags, moved, addressed and routed (architecture.md).
    private static func openDevices(_ settings: Settings) throws(SystemError) -> [Handover<PortRow<TUNPort>>] {
        var rows: [Handover<PortRow<TUNPort>>] = []
        for _ in 0..<settings.workers { rows.append(Handover(PortRow<TUNPort>(capacity: settings.interfaces.count))) }
        for interface in settings.interfaces {
            var device = try TUNDevice(interface.name, queues: settings.workers)
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
        return rows
    }
}
