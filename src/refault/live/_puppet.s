        .intel_syntax noprefix
        # rdi: the slot, see Slot in slot.py
entry:  push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        mov r12, rdi
wait:   mov ecx, [r12+152]      # how often to look before sleeping
look:   mov ebx, [r12]
        cmp ebx, [r12+4]
        jne go
        test ecx, ecx
        jz sleep
        pause
        dec ecx
        jmp look
sleep:  mov eax, 202            # futex(slot, FUTEX_WAIT, ebx, NULL)
        mov rdi, r12
        xor esi, esi
        mov edx, ebx
        xor r10d, r10d
        syscall
        jmp wait
go:     cmp dword ptr [r12+8], 0
        je leave
        mov rcx, [r12+96]       # the gate: wait until it is open
        test rcx, rcx
        jz pass
gate:   pause
        cmp dword ptr [rcx], 0
        je gate
pass:   mov rcx, [r12+104]      # the delay, in loops
        test rcx, rcx
        jz act
delay:  dec rcx
        jnz delay
act:    mov [r12+144], ebx      # begun
        rdtsc
        shl rdx, 32
        or rax, rdx
        mov [r12+80], rax
        mov eax, [r12+8]
        mov rdi, [r12+16]
        mov rsi, [r12+24]
        cmp eax, 1
        je load
        cmp eax, 2
        je store
        cmp eax, 4
        je fork
        cmp eax, 5
        je copy
        cmp eax, 6
        je add
        cmp eax, 7
        je touch
        cmp eax, 8
        je list
        mov rax, rdi            # a system call
        mov rdi, rsi
        mov rsi, [r12+32]
        mov rdx, [r12+40]
        mov r10, [r12+48]
        mov r8, [r12+56]
        mov r9, [r12+64]
call:   syscall
called: jmp ready
load:   movzx eax, byte ptr [rdi]
        jmp ready
store:  mov eax, esi
stores: mov [rdi], al
        movzx eax, al
        jmp ready
add:    mov eax, esi
adds:   lock xadd byte ptr [rdi], al
        movzx eax, al
        jmp ready
copy:   mov rcx, [r12+32]
copies: rep movsb
        mov rax, [r12+32]
        sub rax, rcx
        jmp ready
touch:  mov rcx, [r12+32]       # how many, this far from each other
        test rcx, rcx
        jz ready
touches: movzx eax, byte ptr [rdi]
        add rdi, rsi
        dec rcx
        jnz touches
        jmp ready
list:   mov rbp, rdi            # entries, see lists.py
        mov r13, rsi            # what all lists share: steps done, and whether to stop
next:   mov eax, [rbp]          # what to do; 0 is the end
        test eax, eax
        jz listed
        mov edx, [rbp+8]        # its turn: when so many steps are done
        mov ecx, 500
turn:   cmp dword ptr [r13+4], 0
        jne listed
        cmp [r13], edx
        jae mine
        pause
        dec ecx
        jnz turn
        mov eax, 24             # sched_yield()
        syscall
        jmp next
mine:   mov rcx, [rbp+16]       # the delay, in loops
        test rcx, rcx
        jz begin
held:   dec rcx
        jnz held
begin:  mov dword ptr [rbp+12], 1
        mov rdi, [rbp+24]
        mov rsi, [rbp+32]
        cmp eax, 1
        je lload
        cmp eax, 2
        je lstore
        mov rax, rdi
        mov rdi, rsi
        mov rsi, [rbp+40]
        mov rdx, [rbp+48]
        mov r10, [rbp+56]
        mov r8, [rbp+64]
        mov r9, [rbp+72]
        syscall
        jmp did
lload:  movzx eax, byte ptr [rdi]
        jmp did
lstore: mov eax, esi
lstores: mov [rdi], al
        movzx eax, al
did:    mov [rbp+80], rax
        mov dword ptr [rbp+12], 2
        lock inc dword ptr [r13]
        add rbp, 256
        jmp next
listed: xor eax, eax
        jmp ready
fork:   mov rbp, rdi            # the slot of the child
        mov r13d, esi           # its parent: ours too
        mov eax, 56             # clone(CLONE_PARENT | SIGCHLD, 0, 0, 0, 0)
        mov edi, 0x8011
        xor esi, esi
        xor edx, edx
        xor r10d, r10d
        xor r8d, r8d
        syscall
        test rax, rax
        jnz ready
        mov r12, rbp
        mov eax, 157            # prctl(PR_SET_PDEATHSIG, SIGKILL)
        mov edi, 1
        mov esi, 9
        syscall
        mov eax, 110            # getppid()
        syscall
        cmp eax, r13d
        jne orphan
        mov eax, 39             # getpid(): it is there
        syscall
        mov [r12+148], eax
        jmp wait
orphan: mov eax, 231            # exit_group(0): the parent died before
        xor edi, edi
        syscall
recover: mov eax, [r12+116]     # minus the signal that ended an access
        neg rax
        cmp dword ptr [r12+8], 8
        jne ready
        mov ecx, [r12+112]      # in a list: with si_code, of the log
        dec ecx
        and ecx, 7
        shl ecx, 6
        mov ecx, [r12+rcx+260]
        mov [rbp+88], ecx
        jmp did
ready:  mov [r12+72], rax
        rdtsc
        shl rdx, 32
        or rax, rdx
        mov [r12+88], rax
        mov [r12+4], ebx
        mov eax, 202            # futex(&slot->done, FUTEX_WAKE, all)
        lea rdi, [r12+4]
        mov esi, 1
        mov edx, 0x7fffffff
        syscall
        jmp wait
leave:  mov [r12+4], ebx
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbp
        pop rbx
        ret
        .balign 16
handler: mov r9, [rdx+72]       # r12 of what was interrupted: the slot
        mov r8d, [r9+112]       # the next of eight entries of the log
        and r8d, 7
        shl r8d, 6
        lea r8, [r9+r8+256]
        mov [r8], edi
        mov [r9+116], edi
        mov r11d, [rsi+8]       # si_code
        mov [r8+4], r11d
        mov rcx, [rdx+168]      # rip
        mov [r8+8], rcx
        mov rcx, [rsi+16]       # si_addr
        mov [r8+16], rcx
        mov rcx, [rdx+144]      # rax
        mov [r8+24], rcx
        mov ecx, [r9+4]         # commands done
        mov [r8+32], ecx
        mov ecx, [r9+144]       # commands begun
        mov [r8+36], ecx
        mov rcx, [rdx+192]      # the error code of a page fault
        mov [r8+48], rcx
        mov r10, rdx
        rdtsc
        shl rdx, 32
        or rax, rdx
        mov [r8+40], rax
        lock inc dword ptr [r9+112]
        test r11d, r11d         # somebody sent it
        jle return
        cmp edi, 11
        je skip
        cmp edi, 7
        je skip
return: ret
skip:   lea rcx, [rip+recover]
        mov [r10+168], rcx
        ret
        .balign 16
restorer: mov eax, 15
        syscall
