internal import ESP
internal import Synchronization
internal import Wire

/// From the control plane to a worker, carried out between two packets.
enum Command: ~Copyable, Sendable {
    case open(Tunnel, index: Int)
    case close(index: Int, generation: UInt32, ticket: UInt64)
    case insert(SAPair, ticket: UInt64)
    case remove(LocalSPI, ticket: UInt64)
    /// A router's report about a packet of the Child SA (threats.md P33).
    case heed(PathMTUReport, child: LocalSPI)
    case move(index: Int, generation: UInt32, Endpoint, from: Endpoint?)
}

/// From a worker to the control plane. Ticket 0: nobody waits for it.
enum Report: ~Copyable, Sendable {
    case inserted(Bool, ticket: UInt64)
    case retired(SAPair, ticket: UInt64)
    case absent(ticket: UInt64)
    case closed(Tunnel, index: Int, ticket: UInt64)
    case event(DatapathEvent)
    /// The peer's endpoint has moved: of a place, and our end.
    case moved(TunnelID, Endpoint, local: Endpoint)
    /// The peer sends by a Child SA that has its session's traffic come here.
    case takenUp(LocalSPI)
}

/// What a worker shares with the control plane.
final class Mailbox: Sendable {
    let commands: Ring<Command>
    /// Commands have many producers, and a ring has one at a time.
    let producer = Mutex(())
    let reports: Ring<Report>
    let passes = PassCounter()
    let bell: Bell
    let board: CounterBoard

    init(bell: Bell, board: CounterBoard) {
        // An SA lies in its place of the ring: longer ones would touch new memory for minutes, and full ones are waited for
        commands = Ring(capacity: 1024)
        reports = Ring(capacity: 1024)
        self.bell = bell
        self.board = board
    }
}
