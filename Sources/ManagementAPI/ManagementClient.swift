internal import AsyncHTTPClient
internal import NIOCore
internal import NIOHTTP1

/// The HTTP API over the daemon's control socket. One connection per call; calls throw `ManagementError`.
package struct ManagementClient: Sendable {
    /// Where the daemon listens unless told otherwise.
    package static let defaultSocket = "/run/ipsec-gw/control.sock"

    /// The largest answer that is read, in octets: well above 10^5 sessions.
    private static let largestAnswer = 128 << 20

    package let socketPath: String
    /// Seconds for one whole call.
    package let timeout: Int64

    package init(socketPath: String = defaultSocket, timeout: Int64 = 60) {
        self.socketPath = socketPath
        self.timeout = timeout
    }

    package func status() async throws(ManagementError) -> StatusReport { try await get(ManagementPath.status) }
    package func gateways() async throws(ManagementError) -> [GatewayReport] { try await get(ManagementPath.gateways) }
    package func pools() async throws(ManagementError) -> [PoolReport] { try await get(ManagementPath.pools) }
    package func radius() async throws(ManagementError) -> RADIUSReport { try await get(ManagementPath.radius) }
    package func counters() async throws(ManagementError) -> CounterReport { try await get(ManagementPath.counters) }

    package func securityAssociations() async throws(ManagementError) -> [SecurityAssociationReport] {
        try await get(ManagementPath.securityAssociations)
    }

    /// All sessions, or those that match; empty where none does.
    package func sessions(matching selector: SessionSelector? = nil) async throws(ManagementError) -> [SessionReport] {
        guard let selector else { return try await get(ManagementPath.sessions) }
        return try await get("\(ManagementPath.sessions)?match=\(Self.percentEncoded(selector.text))")
    }

    /// Ends every session that matches; returns how many, once their Deletes are sent.
    package func clear(_ selector: SessionSelector) async throws(ManagementError) -> Int {
        let answer: ClearAnswer = try await send(.POST, ManagementPath.clearSessions, body: ClearRequest(match: selector))
        return answer.cleared
    }

    /// Reads the configuration again. A refused file is an answer, not an error.
    package func reload() async throws(ManagementError) -> ReloadAnswer {
        try decode(try await exchange(.POST, ManagementPath.reload, body: nil, alsoAccepting: .unprocessableEntity))
    }

    package func setLogLevel(_ level: LogLevel) async throws(ManagementError) {
        let _: LogLevelSetting = try await send(.PUT, ManagementPath.logLevel, body: LogLevelSetting(level: level))
    }

    /// The Prometheus text.
    package func metrics() async throws(ManagementError) -> String {
        String(decoding: try await exchange(.GET, ManagementPath.metrics, body: nil), as: UTF8.self)
    }
}

extension ManagementClient {
    private func get<Answer: Decodable>(_ path: String) async throws(ManagementError) -> Answer {
        try decode(try await exchange(.GET, path, body: nil))
    }

    private func send<Answer: Decodable>(
        _ method: HTTPMethod, _ path: String, body: some Encodable
    ) async throws(ManagementError) -> Answer {
        guard let octets = try? ManagementCoding.encode(body) else { throw .malformedAnswer("the request could not be written") }
        return try decode(try await exchange(method, path, body: octets))
    }

    private func decode<Answer: Decodable>(_ octets: [UInt8]) throws(ManagementError) -> Answer {
        do { return try ManagementCoding.decode(Answer.self, from: octets) } catch {
            throw .malformedAnswer(EscapedText.shown("\(error)"))
        }
    }

    /// One request and the body of its answer.
    private func exchange(
        _ method: HTTPMethod, _ path: String, body: [UInt8]?, alsoAccepting accepted: HTTPResponseStatus = .ok
    ) async throws(ManagementError) -> [UInt8] {
        var configuration = HTTPClient.Configuration()
        configuration.httpVersion = .http1Only
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .seconds(3)
        // A socket that refuses once refuses for good: no waiting for a daemon that is not there.
        configuration.connectionPool.retryConnectionEstablishment = false
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        let result = await self.exchange(through: client, method, path, body: body, alsoAccepting: accepted)
        try? await client.shutdown()
        return try result.get()
    }

    private func exchange(
        through client: HTTPClient, _ method: HTTPMethod, _ path: String, body: [UInt8]?, alsoAccepting accepted: HTTPResponseStatus
    ) async -> Result<[UInt8], ManagementError> {
        do {
            var request = HTTPClientRequest(url: "http+unix://\(Self.percentEncoded(socketPath))\(path)")
            request.method = method
            request.headers = ["host": "ipsec-gw", "accept": "application/json", "connection": "close"]
            if let body {
                request.headers.add(name: "content-type", value: "application/json")
                request.body = .bytes(body)
            }
            let response = try await client.execute(request, deadline: .now() + .seconds(timeout))
            let octets = [UInt8](try await response.body.collect(upTo: Self.largestAnswer).readableBytesView)
            if response.status == .ok || response.status == accepted { return .success(octets) }
            let answer =
                (try? ManagementCoding.decode(ErrorAnswer.self, from: octets))
                ?? ErrorAnswer(error: "the daemon answered \(response.status.code)", hint: "look at its log")
            return .failure(.refused(status: Int(response.status.code), answer))
        } catch {
            return .failure(.unreachable(Unreachable(error)))
        }
    }

    /// Everything but letters and digits as `%NN`.
    private static func percentEncoded(_ text: String) -> String {
        var result = ""
        for octet in text.utf8 {
            switch octet {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                result.unicodeScalars.append(Unicode.Scalar(octet))
            default:
                result += "%" + (octet < 16 ? "0" : "") + String(octet, radix: 16, uppercase: true)
            }
        }
        return result
    }
}
