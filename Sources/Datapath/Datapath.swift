package import ESP
package import GatewayCrypto
package import Wire

/// The packet threads: the door and the workers. Everything here may be called from any thread.
package final class Datapath: Sendable {
    /// The events of all workers; one reader.
    package let events: AsyncStream<DatapathEvent>

    /// Opens TUN devices and sockets; nothing runs before `start`. `entropy` gives SPIs their tags and seeds IVs.
    package init(_ settings: Settings, door: any DoorReceiver, entropy: any Entropy) throws(DatapathError) { throw .stopped }

    /// Starts the threads.
    package func start() throws(DatapathError) {}

    /// Ends the threads and takes devices and routes away; returns when all that is done. Calls that wait for workers end with `.stopped`.
    package func stop() {}

    /// Sends an IKE message; the non-ESP marker is added when `local` is a port 4500.
    package func sendIKE(_ octets: [UInt8], from local: Endpoint, to remote: Endpoint) {}

    /// Has the door thread call `woken`.
    package func wakeDoor() {}

    /// The worker with the fewest sessions.
    package func homeWorker() -> Int { 0 }

    /// An SPI for a Child SA to be; nil when the worker's slots are all taken. Install it or `release` it.
    package func allocateSPI(worker: Int) -> LocalSPI? { nil }

    /// Gives back an SPI that was never installed.
    package func release(_ spi: LocalSPI) {}

    /// Makes a session known: routes to its addresses lead to it, and its Child SAs can be installed. Nil when a table is full, the interface is
    /// unknown, or one of the addresses has an owner.
    package func open(tunnel spec: TunnelSpec) -> TunnelID? { nil }

    /// Installs a Child SA; returns when packets of both directions are served.
    package func install(_ child: consuming ChildSASpec) async throws(DatapathError) {}

    /// Takes a Child SA out and gives its SPI back. Zeros when there is none.
    package func retire(child: LocalSPI) async -> SACounters { SACounters() }

    /// Takes a session out with its routes and Child SAs. Its addresses may be given to another once this has returned (threats.md P30).
    package func close(tunnel: TunnelID) async -> TunnelCounters { TunnelCounters() }

    /// Sends to another endpoint of the peer from now on (MOBIKE).
    package func move(tunnel: TunnelID, to peer: Endpoint, from local: Endpoint? = nil) {}

    /// What has passed so far; nil when the session is gone.
    package func counters(tunnel: TunnelID) -> TunnelCounters? { nil }

    package func status(child: LocalSPI) -> SAStatus? { nil }

    /// Drops by reason, over all threads.
    package func dropCounters() -> [Drop: UInt64] { [:] }
}
