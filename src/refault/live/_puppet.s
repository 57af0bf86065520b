        .intel_syntax noprefix
        # rdi: the slot, see Slot in puppet.py
entry:  push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        mov r12, rdi
wait:   mov ebx, [r12]
        cmp ebx, [r12+4]
        jne go
        mov eax, 202            # futex(slot, FUTEX_WAIT, ebx, NULL)
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
act:    rdtsc
        shl rdx, 32
        or rax, rdx
        mov [r12+80], rax
        mov eax, [r12+8]
        mov rdi, [r12+16]
        cmp eax, 1
        je load
        cmp eax, 2
        je store
        mov rax, [r12+16]       # a system call
        mov rdi, [r12+24]
        mov rsi, [r12+32]
        mov rdx, [r12+40]
        mov r10, [r12+48]
        mov r8, [r12+56]
        mov r9, [r12+64]
        syscall
        jmp ready
load:   movzx eax, byte ptr [rdi]
        jmp ready
store:  mov al, [r12+24]
        mov [rdi], al
        movzx eax, al
        jmp ready
recover: mov eax, [r12+116]     # minus the signal that ended a load or store
        neg rax
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
handler: mov rax, [rdx+72]      # r12 of what was interrupted: the slot
        mov rcx, [rdx+168]      # its rip
        mov [rax+116], edi
        mov [rax+120], rcx
        mov ecx, [rsi+8]
        mov [rax+128], ecx
        mov rcx, [rsi+16]
        mov [rax+136], rcx
        lock inc dword ptr [rax+112]
        cmp edi, 11
        je skip
        cmp edi, 7
        je skip
        ret
skip:   lea rcx, [rip+recover]
        mov [rdx+168], rcx
        ret
        .balign 16
restorer: mov eax, 15
        syscall
