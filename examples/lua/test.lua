-- Each part of the library that was linked in does something here, or the script (and so the target) fails.
local function fibonacci(n)
  return n < 2 and n or fibonacci(n - 1) + fibonacci(n - 2)
end
assert(fibonacci(20) == 6765)

local words = {}
for word in ("redo when something changed"):gmatch("%a+") do
  words[#words + 1] = word
end
table.sort(words)
assert(table.concat(words, " ") == "changed redo something when")

local numbers = coroutine.wrap(function()
  for i = 1, 3 do coroutine.yield(i) end
end)
assert(numbers() + numbers() + numbers() == 6)

assert(math.type(2^53) == "float" and 7 // 2 == 3)
assert(utf8.len("na\u{ef}ve") == 5)
assert(not pcall(error, "caught"))

print("Hello from " .. _VERSION .. ", built by redo")
