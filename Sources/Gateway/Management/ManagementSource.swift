package import ManagementAPI

/// What the HTTP API asks of the running gateway. Answers are as of now; none may wait for a client.
package protocol ManagementSource: Sendable {
    func status() async -> StatusReport
    func gateways() async -> [GatewayReport]
    /// All sessions, or those that the selector means, in the order of their establishment.
    func sessions(matching selector: SessionSelector?) async -> [SessionReport]
    /// Half-open IKE SAs too.
    func securityAssociations() async -> [SecurityAssociationReport]
    func counters() async -> CounterReport
    func pools() async -> [PoolReport]
    func radius() async -> RADIUSReport
    /// Ends every session that the selector means; returns how many, once their Deletes are sent.
    func clear(_ selector: SessionSelector) async -> Int
    /// Reads the configuration again, as SIGHUP does.
    func reload() async -> ReloadAnswer
    func setLogLevel(_ level: LogLevel) async
}
