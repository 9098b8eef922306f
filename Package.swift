// swift-tools-version: 6.2
// This file is the architecture: a target depends only on targets above it. contrib/checks/floors keeps it so.

import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    // recvmmsg, sendmmsg and struct ucred; for all modules alike, or fd_set differs between them
    .unsafeFlags(["-Xcc", "-D_GNU_SOURCE"]),
]

// A test may use unsafe C freely and stays readable; everything else holds there too.
let tests: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .unsafeFlags(["-Xcc", "-D_GNU_SOURCE"]),
]

// Multi-buffer cryptography for ESP, made for x86-64 alone. Elsewhere, and where IPSEC_GW_OPENSSL_ONLY is set, OpenSSL does everything.
#if arch(x86_64)
let multiBuffer = Context.environment["IPSEC_GW_OPENSSL_ONLY"] == nil
#else
let multiBuffer = false
#endif
let multiBufferLibrary: [Target] = multiBuffer ? [.systemLibrary(name: "CIPsecMB", providers: [.apt(["libipsec-mb-dev"])])] : []
let multiBufferDependency: [Target.Dependency] = multiBuffer ? ["CIPsecMB"] : []
let multiBufferDefine: [SwiftSetting] = multiBuffer ? [.define("MULTI_BUFFER")] : []

let package = Package(
    name: "ipsec-gw",
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: multiBufferLibrary + [
        // Floor 0: C at the edge
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .target(name: "CLinux", cSettings: [.define("_GNU_SOURCE")]),
        .target(
            name: "CFreeRADIUS", cSettings: [.headerSearchPath(".")],
            linkerSettings: [
                // not on the linker's or the loader's path: Debian keeps it beside FreeRADIUS's modules
                .unsafeFlags(["-L/usr/lib/freeradius", "-Xlinker", "-rpath", "-Xlinker", "/usr/lib/freeradius"]),
                .linkedLibrary("freeradius-radius"), .linkedLibrary("talloc"),
            ]),

        // Floor 1: ground
        .target(name: "Wire", swiftSettings: strict),
        .target(name: "GatewayCrypto", dependencies: ["COpenSSL", "Wire"] + multiBufferDependency, swiftSettings: strict + multiBufferDefine),
        .target(name: "LinuxIO", dependencies: ["CLinux", "Wire"], swiftSettings: strict),

        // Floor 2: protocols, pure
        .target(name: "IKEMessages", dependencies: ["Wire"], swiftSettings: strict),
        .target(name: "IKE", dependencies: ["IKEMessages", "GatewayCrypto", "Wire"], swiftSettings: strict),
        .target(name: "ESP", dependencies: ["GatewayCrypto", "Wire"], swiftSettings: strict),
        .target(name: "RADIUS", dependencies: ["CFreeRADIUS", "GatewayCrypto", "Wire"], swiftSettings: strict),
        .target(name: "AddressAssignment", dependencies: ["Wire"], swiftSettings: strict),
        .target(name: "PKI", dependencies: ["COpenSSL", "GatewayCrypto", "Wire"], swiftSettings: strict),

        // Floor 3: engines
        .target(
            name: "StateStore", dependencies: ["Wire", .product(name: "GRDB", package: "GRDB.swift")],
            swiftSettings: strict),
        .target(name: "Datapath", dependencies: ["ESP", "GatewayCrypto", "LinuxIO", "Wire"], swiftSettings: strict),
        .target(
            name: "Config", dependencies: ["AddressAssignment", "ESP", "IKE", "Wire", .product(name: "Yams", package: "Yams")],
            swiftSettings: strict),
        .target(
            name: "ManagementAPI",
            dependencies: [
                "Wire",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: strict),
        .target(
            name: "Gateway",
            dependencies: [
                "AddressAssignment", "Config", "Datapath", "ESP", "GatewayCrypto", "IKE", "IKEMessages", "LinuxIO", "ManagementAPI", "PKI",
                "RADIUS", "StateStore", "Wire",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "HeapModule", package: "swift-collections"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict),
        .target(name: "RoadWarrior", dependencies: ["GatewayCrypto", "IKEMessages", "Wire"], swiftSettings: strict),

        // Floor 4: programs
        .executableTarget(
            name: "ipsec-gw",
            dependencies: [
                "Config", "Gateway", "GatewayCrypto", "LinuxIO", "ManagementAPI", "Wire",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "ipsec-gwctl",
            dependencies: ["ManagementAPI", "Wire", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: strict),
        .executableTarget(
            name: "ipsec-load",
            dependencies: [
                "Datapath", "ESP", "GatewayCrypto", "IKEMessages", "LinuxIO", "PKI", "RoadWarrior", "Wire",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        // What tests are made from
        .target(name: "Lab", path: "Tests/Lab", swiftSettings: tests),
        .target(
            name: "GatewayTesting",
            dependencies: ["AddressAssignment", "COpenSSL", "GatewayCrypto", "IKE", "IKEMessages", "PKI", "RoadWarrior", "Wire"],
            path: "Tests/GatewayTesting", swiftSettings: tests),

        .target(name: "PacketFixtures", dependencies: ["Wire"], path: "Tests/PacketFixtures", swiftSettings: strict),

        // Tests
        .testTarget(name: "WireTests", dependencies: ["Wire"], swiftSettings: tests),
        .testTarget(
            name: "GatewayCryptoTests", dependencies: ["GatewayCrypto", "COpenSSL", "Wire"], swiftSettings: tests + multiBufferDefine),
        .testTarget(name: "LinuxIOTests", dependencies: ["CLinux", "LinuxIO", "Wire"], swiftSettings: tests),
        .testTarget(name: "IKEMessagesTests", dependencies: ["IKEMessages", "Wire"], exclude: ["Captures"], swiftSettings: tests),
        .testTarget(
            name: "IKETests", dependencies: ["GatewayTesting", "IKE", "IKEMessages", "GatewayCrypto", "PKI", "RoadWarrior", "Wire"],
            swiftSettings: tests),
        .testTarget(name: "ESPTests", dependencies: ["ESP", "GatewayCrypto", "PacketFixtures", "Wire"], swiftSettings: tests),
        .testTarget(
            name: "AddressAssignmentTests", dependencies: ["AddressAssignment", "GatewayTesting", "Wire"], swiftSettings: tests),
        .testTarget(name: "PKITests", dependencies: ["COpenSSL", "GatewayCrypto", "GatewayTesting", "PKI", "Wire"], swiftSettings: tests),
        .testTarget(
            name: "RADIUSTests", dependencies: ["COpenSSL", "GatewayCrypto", "GatewayTesting", "RADIUS", "Wire"],
            exclude: ["Vectors/make-vectors.py"],
            swiftSettings: tests),
        .testTarget(name: "StateStoreTests", dependencies: ["StateStore", "Wire"], swiftSettings: tests),
        .testTarget(
            name: "DatapathTests", dependencies: ["Datapath", "ESP", "GatewayCrypto", "GatewayTesting", "LinuxIO", "PacketFixtures", "Wire"],
            swiftSettings: tests),
        .testTarget(
            name: "ConfigTests", dependencies: ["AddressAssignment", "Config", "ESP", "GatewayCrypto", "GatewayTesting", "IKE", "Wire"],
            exclude: ["example.yaml"], swiftSettings: tests),
        .testTarget(name: "ManagementAPITests", dependencies: ["ManagementAPI", "Wire"], swiftSettings: tests),
        .testTarget(
            name: "GatewayManagementTests",
            dependencies: [
                "Gateway", "ManagementAPI", "Wire", "ipsec-gwctl",
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: tests),
        .testTarget(
            name: "GatewayTests",
            dependencies: [
                "AddressAssignment", "Config", "Datapath", "ESP", "Gateway", "GatewayCrypto", "GatewayTesting", "IKE", "IKEMessages",
                "LinuxIO", "PKI", "RADIUS", "StateStore", "Wire",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: tests),
        .testTarget(
            name: "RoadWarriorTests",
            dependencies: [
                "Datapath", "GatewayCrypto", "GatewayTesting", "IKE", "IKEMessages", "LinuxIO", "PKI", "RoadWarrior", "Wire", "ipsec-load",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: tests),
        .testTarget(
            name: "ScenarioTests",
            dependencies: [
                "GatewayCrypto", "GatewayTesting", "IKEMessages", "Lab", "LinuxIO", "PKI", "RoadWarrior", "Wire", "ipsec-gw", "ipsec-gwctl",
                "ipsec-load",
            ],
            swiftSettings: tests),
    ]
)

// `make openssl-only` wants the tests of what there are two engines for, and nothing else.
if Context.environment["IPSEC_GW_OPENSSL_ONLY"] == "tests" {
    package.targets.removeAll { $0.isTest && !["DatapathTests", "ESPTests", "GatewayCryptoTests"].contains($0.name) }
}

// What `swift build` need not wait for. `make fuzz` asks for Fuzz, and builds the rest with libFuzzer's counters; `make budgets` for Budgets; crypto-bench
// compares the crypto engines.
if Context.environment["IPSEC_GW_EXTRAS"] == "1" {
    package.targets += [
        .executableTarget(
            name: "crypto-bench", dependencies: ["Datapath", "ESP", "GatewayCrypto", "LinuxIO", "Wire"], path: "Tests/Benchmarks/Crypto",
            swiftSettings: tests),
        .systemLibrary(name: "CFuzzer", path: "Tests/Fuzz/CFuzzer"),
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                "CFuzzer", "COpenSSL", "ESP", "GatewayCrypto", "GatewayTesting", "IKE", "IKEMessages", "PKI", "PacketFixtures", "RADIUS",
                "RoadWarrior", "Wire",
            ],
            path: "Tests/Fuzz/Targets", swiftSettings: tests,
            // gold, the default on Linux, cannot read the line tables of libFuzzer's archive
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])]),
        .executableTarget(
            name: "Budgets", dependencies: ["Datapath", "ESP", "GatewayCrypto", "LinuxIO", "PacketFixtures", "Wire"],
            path: "Tests/Benchmarks/Budgets", swiftSettings: tests),
    ]
}
