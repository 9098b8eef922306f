/// What `ipsec-load traffic --json` ends with (programs.md).
package struct TrafficFigures: Decodable, Sendable {
    /// Packets of one direction; `lost` are those of `sent` that never came, `octets` the payload of those that did.
    package struct Direction: Decodable, Sendable {
        package let sent: Int
        package let received: Int
        package let lost: Int
        package let duplicated: Int
        package let reordered: Int
        package let corrupted: Int
        package let octets: Int
        package let p50Microseconds: Double?
    }
    package let established: Int
    /// Clients whose far side told what it counted.
    package let agreed: Int
    /// Packets that are not of this load.
    package let others: Int
    package let up: Direction
    package let down: Direction
}
