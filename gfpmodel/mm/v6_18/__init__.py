"""The rules that v6.18 has in another form than v5.8: each under the kernel's name, in the file of that name.

What is not here is v5.8's, in the files one folder up.  Since when each form holds: the fact sheet of the allocator,
section 15; all of them are in v6.18.
"""
