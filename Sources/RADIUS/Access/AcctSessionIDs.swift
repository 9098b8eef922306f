package import Wire

/// Makes Acct-Session-Ids, RAD-3: `172.16.100.1-192.168.5.100:500-1365016423`, with `-n` behind it for the same again within one second.
package struct AcctSessionIDs: Sendable {
    private static let maximum = 65536

    private var second: UInt64 = 0
    private var used: [String: Int] = [:]

    package init() {}

    /// `time` in seconds since 1970. A clock that is set back makes no id twice: the last second counts on.
    package mutating func next(local: IPAddress, remote: Endpoint, time: UInt64) -> String {
        if time > second {
            second = time
            used = [:]
        } else if used.count >= Self.maximum {
            (second, _) = second.addingReportingOverflow(1)
            used = [:]
        }
        let gateway = local.family == .ipv4 ? "\(local)" : "[\(local)]"
        let text = "\(gateway)-\(remote)-\(second)"
        let count = used[text, default: 0]
        used[text] = count &+ 1
        return count == 0 ? text : "\(text)-\(count)"
    }
}
