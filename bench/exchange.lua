-- bench/exchange.lua CODES_FILE FORM_FILE [OUT_FILE]: the form, with each code of a file once, then the end. The
-- refresh tokens of the answers go into OUT_FILE, one a line; without it no answer is looked at. For one thread.
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
dofile(folder .. "report.lua")

local codes, length, head, out
local is_begun, waiting = false, 0

local function keep(status, headers, body)
    local token = body:match('"refresh_token":"([^"]+)"')
    assert(status == 200 and token, "an answer without a refresh token: " .. body)
    out:write(token, "\n")
    waiting = waiting - 1
    if waiting == 0 and not codes then
        out:close()
        finish()
    end
end

function init(args)
    codes = assert(io.open(args[1], "rb"))
    length = #codes:read("*l")
    codes:seek("set", 0)
    wrk.method = "POST"
    wrk.body = read_file(args[2]) .. "&code=" .. string.rep("x", length)
    head = wrk.format():sub(1, -1 - length)
    if args[3] then
        out = assert(io.open(args[3], "wb"))
        response = keep
    end
end

function request()
    if not is_begun then -- the first one is only looked at by wrk, to count what is in it
        is_begun = true
        return head .. string.rep("x", length)
    end
    local code = codes and codes:read("*l")
    if not code then
        codes = nil
        return out and waiting > 0 and "" or finish() -- with "" the connection rests
    end
    assert(#code == length, "the codes differ in length")
    waiting = waiting + 1
    return head .. code
end
