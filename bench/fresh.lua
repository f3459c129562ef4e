-- bench/fresh.lua TOKENS_FILE: introspects each token of a file once, as a form, then ends. For one thread.
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
dofile(folder .. "report.lua")

local tokens, length, head

function init(args)
    tokens = assert(io.open(args[1], "rb"))
    length = #tokens:read("*l")
    tokens:seek("set", 0)
    wrk.method = "POST"
    wrk.body = "token=" .. string.rep("x", length)
    head = wrk.format():sub(1, -1 - length)
end

function request()
    local token = tokens:read("*l")
    if not token then
        return finish()
    end
    assert(#token == length, "the tokens differ in length")
    return head .. token
end
