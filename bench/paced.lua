-- bench/paced.lua BODY_FILE: one POST, again after up to 4 ms on each connection: it leaves room for other loads.
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
dofile(folder .. "repeat.lua")

function delay()
    return math.random(0, 4)
end
