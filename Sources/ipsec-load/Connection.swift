import LinuxIO
import RoadWarrior
import Wire

/// One client that carries no packets: a plain poll loop on the calling thread.
struct Connection: ~Copyable {
    private var warrior: RoadWarrior
    private var socket: ClientSocket
    private var poller: Poller
    private var incoming = Batch(capacity: 64, room: 10_240)
    private var ending = Ending()
    private var established: RoadWarrior.Established?

    init(target: GatewayOptions.Target, _ wishes: Connect.Wishes) throws(SystemError) {
        let socket = try target.socket(packetsPerCall: 64, buffer: 4 << 20)
        var settings = target.settings(client: 0, local: socket.port.local)
        wishes.apply(to: &settings)
        let poller = try Poller()
        try poller.add(socket.port.descriptor, token: 1)
        warrior = RoadWarrior(settings)
        self.socket = socket
        self.poller = poller
    }

    mutating func run() throws(SystemError) -> Ending.Outcome {
        var outputs: [RoadWarrior.Output] = []
        warrior.start(at: MonotonicClock.now, into: &outputs)
        perform(&outputs)
        while true {
            if let outcome = ending.outcome { return outcome }
            // A signal just before the wait would not end it, so no wait is long.
            let glance = MonotonicClock.now + .milliseconds(200)
            _ = try poller.wait(until: min(warrior.nextDeadline ?? glance, glance))
            if StopSignal.isRaised, !ending.isStopping {
                ending.stop()
                warrior.close(at: MonotonicClock.now, into: &outputs)
                perform(&outputs)
            }
            if poller.count > 0 { try readSocket(&outputs) }
            let now = MonotonicClock.now
            if let deadline = warrior.nextDeadline, deadline <= now {
                warrior.handleDeadlines(at: now, into: &outputs)
                perform(&outputs)
            }
        }
    }

    private mutating func readSocket(_ outputs: inout [RoadWarrior.Output]) throws(SystemError) {
        while ending.outcome == nil, try socket.port.receive(into: &incoming) > 0 {
            let now = MonotonicClock.now
            for index in 0..<incoming.count {
                let octets = unsafe [UInt8](incoming.octets(index))
                warrior.receive(octets, from: incoming[index].peer, at: now, into: &outputs)
            }
            perform(&outputs)
        }
    }

    private mutating func perform(_ outputs: inout [RoadWarrior.Output]) {
        var objection: String?
        for output in outputs {
            switch output {
            case .send(let datagram): socket.send(datagram)
            case .established(let facts): established = facts
            case .childEstablished: say("connected inner=\(innerAddresses(established)) tun=-")
            case .closed(let closure): ending.conclude(closure)
            case .delivered, .refused, .childRekeyed, .ikeRekeyed, .childClosed, .response: break
            }
            if let line = output.line { say(line) }
            objection = objection ?? output.objection(in: warrior)
        }
        outputs.removeAll(keepingCapacity: true)
        if let objection, ending.stop(because: objection) {
            warrior.close(at: MonotonicClock.now, into: &outputs)
            perform(&outputs)
        }
    }
}

/// As scripts read them.
func innerAddresses(_ facts: RoadWarrior.Established?) -> String {
    let addresses = facts?.innerAddresses.map(\.description).joined(separator: ",") ?? ""
    return addresses.isEmpty ? "-" : addresses
}
