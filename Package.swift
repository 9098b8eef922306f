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

let package = Package(
    name: "ipsec-gw",
    dependencies: [],
    targets: [
        // Floor 1: ground
        .target(name: "Wire", swiftSettings: strict),

        // Tests
        .testTarget(name: "WireTests", dependencies: ["Wire"], swiftSettings: tests),

        // Scenarios: real programs in network namespaces
        .target(name: "Lab", path: "Tests/Lab", swiftSettings: tests),
        .testTarget(name: "ScenarioTests", dependencies: ["Lab"], swiftSettings: tests),
    ]
)
