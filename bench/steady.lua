-- bench/steady.lua BODY_FILE RATE: one POST, so many times a second in all, as long as there are connections for it.
-- For one thread. What an answer takes is counted from when its request is sent.
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
dofile(folder .. "repeat.lua")

local ffi = require("ffi")
ffi.cdef("struct times { long s, ns; }; int clock_gettime(int clock, struct times *now);")
local MONOTONIC, LATE_MS = 1, 100
local now, step_ms, due_ms = ffi.new("struct times"), 0, 0
local repeat_init = init

local function now_ms()
    ffi.C.clock_gettime(MONOTONIC, now)
    return tonumber(now.s) * 1000 + tonumber(now.ns) / 1000000
end

function init(args)
    repeat_init(args)
    step_ms, due_ms = 1000 / tonumber(args[2]), now_ms()
end

-- Before each request: how long its connection waits for its turn. What was missed by more than LATE_MS is not made up.
function delay()
    local here_ms = now_ms()
    due_ms = math.max(due_ms + step_ms, here_ms - LATE_MS)
    return math.max(0, math.floor(due_ms - here_ms + 0.5))
end
