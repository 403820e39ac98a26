/// What the golden repository holds, written down when it was made.
extension GoldenRepositoryTests {
    static let repositoryID = "19ac4f6cf91f1125c2fbeca1afc8db43"

    static let snapshots = [
        Expected(
            id: "304eacde5eb2cb4add6c9aa7df92110e7d7a865cd37eacfd4dac7efacf45d0aa", source: "dump.sql", kind: "stdin",
            seconds: 1_767_236_400, tags: ["day=1"],
            files: [
                "/dump.sql":
                    "b5f62d558e06c58cfd77a591a952464f61d91f42d7fac8e04a0589ee52f16e30",
            ]),
        Expected(
            id: "92918392547b1e53d54c0492c302cc45dec392d98e3f31278062bb697524fafd", source: "dump.sql", kind: "stdin",
            seconds: 1_767_322_800, tags: ["day=2"],
            files: [
                "/dump.sql":
                    "4f2d4ea9c349e9c9d41e2342f23529dd7f602d9d601c129f5c5e04ea3e80f24c",
            ]),
        Expected(
            id: "7926520637150d4fb0e5e4e89c38da005c7b70beefa66047d7a2f60df1759a60", source: "tree", kind: "files",
            seconds: 1_767_409_200, tags: [],
            files: [
                "/tmp/golden-tree/attributes":
                    "16d99be0860337cd3311350888828a2b0d5a1a3dec5611d3be5231dfb7be89ef",
                "/tmp/golden-tree/directory/hard link":
                    "63dda1a990dcca139c2dd5437354c06460a2c67fb3fc25094b73e81ad51cf6aa",
                "/tmp/golden-tree/directory/large":
                    "649f31f5a70f83107dff0cd1c52530ab510bb2a06bcd874f238bbcc05622b6d7",
                "/tmp/golden-tree/empty":
                    "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8",
                "/tmp/golden-tree/not\\xffutf8":
                    "9cfaf3d1cf6aaa07d64e8865684fc9da7368f6bb24d7a698e1c12678b2026958",
                "/tmp/golden-tree/näme":
                    "47335f7f0dc3f204496c34099d82d36e93289fe3a8c1dd2093eaf4ddd1d46eb0",
                "/tmp/golden-tree/small":
                    "63dda1a990dcca139c2dd5437354c06460a2c67fb3fc25094b73e81ad51cf6aa",
                "/tmp/golden-tree/sparse":
                    "4712d55e95780020f0f54d022178b0232ad1c852cb7e734bc8e5ecb24127311b",
            ]),
    ]
}
