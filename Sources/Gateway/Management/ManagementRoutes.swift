internal import HTTPTypes
internal import Hummingbird
internal import ManagementAPI
internal import NIOCore

/// The resources of the HTTP API: path and method to what is asked of the source.
struct ManagementRoutes: HTTPResponder {
    typealias Context = BasicRequestContext

    /// One resource and method.
    struct Route: Sendable {
        let method: HTTPRequest.Method
        let path: String
        let answer: @Sendable (Request) async throws -> Response
    }

    private let routes: [Route]
    private let bodyOctets: Int

    /// `/metrics` alone: what a TCP listener may serve.
    init(exposition: @escaping @Sendable () async -> String) {
        routes = [Self.metrics(exposition)]
        bodyOctets = 0
    }

    /// The whole API: what the control socket serves.
    init(source: any ManagementSource, exposition: @escaping @Sendable () async -> String, limits: ManagementServer.Limits) {
        let bodyOctets = limits.bodyOctets
        self.bodyOctets = bodyOctets
        routes = [
            Route(method: .get, path: ManagementPath.status) { _ in try Self.json(await source.status()) },
            Route(method: .get, path: ManagementPath.gateways) { _ in try Self.json(await source.gateways()) },
            Route(method: .get, path: ManagementPath.sessions) { request in
                try Self.json(await source.sessions(matching: try Self.selector(request)))
            },
            Route(method: .get, path: ManagementPath.securityAssociations) { _ in try Self.json(await source.securityAssociations()) },
            Route(method: .get, path: ManagementPath.counters) { _ in try Self.json(await source.counters()) },
            Route(method: .get, path: ManagementPath.pools) { _ in try Self.json(await source.pools()) },
            Route(method: .get, path: ManagementPath.radius) { _ in try Self.json(await source.radius()) },
            Route(method: .post, path: ManagementPath.clearSessions) { request in
                let question: ClearRequest = try await Self.body(of: request, upTo: bodyOctets, like: #"{"match": "alice"}"#)
                return try Self.json(ClearAnswer(cleared: await source.clear(question.match)))
            },
            Route(method: .post, path: ManagementPath.reload) { _ in
                let answer = await source.reload()
                return try Self.json(answer, status: answer.applied ? .ok : .unprocessableContent)
            },
            Route(method: .put, path: ManagementPath.logLevel) { request in
                let setting: LogLevelSetting = try await Self.body(of: request, upTo: bodyOctets, like: #"{"level": "debug"}"#)
                await source.setLogLevel(setting.level)
                return try Self.json(setting)
            },
            Self.metrics(exposition),
        ]
    }

    func respond(to request: Request, context: BasicRequestContext) async throws -> Response {
        let here = routes.filter { $0.path == request.uri.path }
        guard !here.isEmpty else {
            let known = routes.map(\.path).joined(separator: ", ")
            return try Self.failure(.notFound, "there is no \(EscapedText.shown(request.uri.path))", "the resources are \(known)")
        }
        guard let route = here.first(where: { $0.method == request.method }) else {
            let allowed = here.map(\.method.rawValue).joined(separator: ", ")
            var response = try Self.failure(
                .methodNotAllowed, "\(request.uri.path) does not take \(EscapedText.shown(request.method.rawValue))", "use \(allowed)")
            response.headers[.allow] = allowed
            return response
        }
        do { return try await route.answer(request) } catch let refusal as Refusal {
            return try Self.failure(.badRequest, refusal.error, refusal.hint)
        } catch is NIOTooManyBytesError {
            return try Self.failure(.contentTooLarge, "the request's body is too large", "send at most \(bodyOctets) octets")
        } catch is EncodingError {
            return try Self.failure(.internalServerError, "the answer could not be written", "look at the daemon's log")
        }
    }

    /// A request that asks for nothing that we have.
    private struct Refusal: Error {
        let error: String
        let hint: String
    }

    private static func metrics(_ exposition: @escaping @Sendable () async -> String) -> Route {
        Route(method: .get, path: ManagementPath.metrics) { _ in
            Response(
                status: .ok, headers: [.contentType: Exposition.contentType],
                body: ResponseBody(byteBuffer: ByteBuffer(string: await exposition())))
        }
    }

    private static func selector(_ request: Request) throws -> SessionSelector? {
        guard let text = request.uri.queryParameters["match"] else { return nil }
        guard let selector = SessionSelector(String(text)) else {
            throw Refusal(error: "match is empty or too long", hint: "give an id, a name or an address of 1 to \(EscapedText.limit) octets")
        }
        return selector
    }

    private static func body<Value: Decodable>(of request: Request, upTo limit: Int, like example: String) async throws -> Value {
        let octets = [UInt8](try await request.body.collect(upTo: limit).readableBytesView)
        do { return try ManagementCoding.decode(Value.self, from: octets) } catch {
            throw Refusal(error: "the body is not what \(request.uri.path) takes", hint: "send JSON such as \(example)")
        }
    }

    private static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: try ManagementCoding.encode(value))))
    }

    private static func failure(_ status: HTTPResponse.Status, _ error: String, _ hint: String) throws -> Response {
        try json(ErrorAnswer(error: error, hint: hint), status: status)
    }
}
