package import IKEMessages
package import Wire

/// A datagram under way between the two sides of a `Pair`, without the non-ESP marker.
package struct Flight: Sendable {
    package enum Destination: Hashable, Sendable {
        case gateway
        case client(Int)
    }

    /// Counted from 0, copies included.
    package let number: Int
    package let destination: Destination
    package var octets: [UInt8]
    /// The gateway's end.
    package let local: Endpoint
    /// The client's end as the gateway sees it.
    package let remote: Endpoint
    package let origin: PairGateway.Origin
    package var arrival: Instant

    package var header: IKEHeader? {
        var span = octets.span.bytes
        return try? IKEHeader(parsing: &span)
    }

    package var isFromClient: Bool { destination == .gateway }

    /// Whether this is a request or a response of an exchange.
    package func `is`(_ exchange: ExchangeType, response: Bool, fromClient: Bool? = nil) -> Bool {
        guard let header else { return false }
        return header.exchange == exchange && header.isResponse == response && (fromClient ?? isFromClient) == isFromClient
    }
}

/// What becomes of a datagram.
package enum Fate: Equatable, Sendable {
    case deliver
    case drop
    /// One copy after each of these; none is a loss.
    case copies([Duration])
    /// Kept until `releaseHeld`.
    case hold
}

/// A lossy wire: what is under way, and what a script or a random schedule does to it.
package struct LossyWire {
    package static let latency = Duration.milliseconds(10)

    package var fate: (Flight) -> Fate = { _ in .deliver }
    package private(set) var flights: [Flight] = []
    package private(set) var held: [Flight] = []
    /// Everything that was ever put on the wire, what was lost included.
    package private(set) var sent: [Flight] = []
    private var count = 0

    mutating func put(
        _ octets: [UInt8], to destination: Flight.Destination, local: Endpoint, remote: Endpoint, origin: PairGateway.Origin, at now: Instant
    ) {
        let flight = Flight(
            number: count, destination: destination, octets: octets, local: local, remote: remote, origin: origin, arrival: now + Self.latency)
        count += 1
        sent.append(flight)
        switch origin == .stranger ? .deliver : fate(flight) {
        case .deliver: flights.append(flight)
        case .drop: break
        case .hold: held.append(flight)
        case .copies(let delays):
            for delay in delays {
                var copy = flight
                copy.arrival = now + delay
                flights.append(copy)
            }
        }
    }

    /// Puts what was held back on its way again, in this order.
    mutating func release(reversed: Bool, at now: Instant) {
        for (index, flight) in (reversed ? held.reversed() : held).enumerated() {
            var flight = flight
            flight.arrival = now + Self.latency + .microseconds(index)
            flights.append(flight)
        }
        held = []
    }

    mutating func discardHeld() { held = [] }

    var nextArrival: Instant? { flights.lazy.map(\.arrival).min() }

    mutating func takeNext() -> Flight? {
        guard let index = flights.indices.min(by: { (flights[$0].arrival, flights[$0].number) < (flights[$1].arrival, flights[$1].number) })
        else { return nil }
        return flights.remove(at: index)
    }
}
